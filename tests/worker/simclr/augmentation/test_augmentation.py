"""Augmentation: each operation against torchvision for the same parameters, the draws against their distributions."""

import itertools

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from worker.simclr.augmentation.blur import Blur, draw_sigmas, gaussian_blur, kernel_size
from worker.simclr.augmentation.color import (
    Color,
    ColorParameters,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    distort_color,
    draw_color,
    grayscale,
)
from worker.simclr.augmentation.crop import Crop, Flip, crop_and_resize, draw_boxes, flip
from worker.simclr.augmentation.views import resized, two_views
from worker.simclr.randomness import generator

PAPER_CIFAR = (Crop(), Flip(), Color(strength=0.5))


def images(count=12, height=32, width=32):
    return torch.rand(count, 3, height, width, generator=generator(1, 0, "test images"))


def pixels(count=12, height=32, width=32):
    return (images(count, height, width) * 255).round().to(torch.uint8)


def views_of(batch, ops, *, image_size=32, branches="both", seed=0, step=0):
    return two_views(batch, ops, image_size=image_size, branches=branches, seed=seed, step=step)


class TestEachOperationEqualsTorchvision:
    @pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 32), (48, 80, 32), (20, 31, 64), (250, 180, 224)])
    def test_crop(self, height, width, size):
        batch = images(8, height, width)
        boxes = draw_boxes(Crop(), 8, height, width, generator(0, 0, "boxes"))
        ours = crop_and_resize(batch, boxes, size)
        for image, (top, left, box_height, box_width), cut in zip(batch, boxes.tolist(), ours, strict=True):
            theirs = reference.resized_crop(image, top, left, box_height, box_width, [size, size], antialias=True)
            torch.testing.assert_close(cut, theirs, atol=3e-5, rtol=0)

    def test_flip(self):
        batch, chosen = images(), torch.arange(12) % 3 == 0
        for image, mirrored, ours in zip(batch, chosen, flip(batch, chosen), strict=True):
            torch.testing.assert_close(ours, reference.horizontal_flip(image) if mirrored else image)

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (adjust_brightness, reference.adjust_brightness),
            (adjust_contrast, reference.adjust_contrast),
            (adjust_saturation, reference.adjust_saturation),
        ],
    )
    def test_brightness_contrast_saturation(self, ours, theirs):
        batch, factors = images(), torch.linspace(0, 2, 12)
        for image, factor, result in zip(batch, factors, ours(batch, factors.view(-1, 1, 1, 1)), strict=True):
            torch.testing.assert_close(result, theirs(image, factor.item()), atol=1e-5, rtol=0)

    def test_hue(self):
        batch, turns = images(), torch.linspace(-0.5, 0.5, 12)
        batch[0], batch[1] = 0.5, 0  # grey and black have no hue
        for image, turn, result in zip(batch, turns, adjust_hue(batch, turns.view(-1, 1, 1, 1)), strict=True):
            torch.testing.assert_close(result, reference.adjust_hue(image, turn.item()), atol=1e-4, rtol=0)

    def test_color_distortion_in_every_order(self):
        orders = torch.tensor(list(itertools.permutations(range(4))))
        count = len(orders)
        batch, rng = images(count), generator(3, 0, "factors")
        parameters = ColorParameters(
            factors=torch.cat([0.2 + 1.6 * torch.rand(count, 3, generator=rng), 0.2 * torch.rand(count, 1)], dim=1),
            order=orders,
            jittered=torch.arange(count) % 5 != 0,
            gray=torch.arange(count) % 4 == 0,
        )
        adjust = (
            reference.adjust_brightness,
            reference.adjust_contrast,
            reference.adjust_saturation,
            reference.adjust_hue,
        )
        for index, (image, ours) in enumerate(zip(batch, distort_color(batch, parameters), strict=True)):
            theirs = image
            if parameters.jittered[index]:
                for kind in orders[index].tolist():
                    theirs = adjust[kind](theirs, parameters.factors[index, kind].item())
            if parameters.gray[index]:
                theirs = reference.rgb_to_grayscale(theirs, num_output_channels=3)
            torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)

    def test_grayscale(self):
        batch = images()
        torch.testing.assert_close(grayscale(batch), reference.rgb_to_grayscale(batch), atol=1e-6, rtol=0)

    @pytest.mark.parametrize(("side", "taps"), [(32, 3), (96, 9), (224, 23)])
    def test_blur(self, side, taps):
        assert kernel_size(side) == taps
        batch, sigmas = images(4, side, side), torch.tensor([0.1, 0.7, 1.3, 2.0])
        for image, sigma, ours in zip(batch, sigmas, gaussian_blur(batch, sigmas, taps), strict=True):
            theirs = reference.gaussian_blur(image, [taps, taps], [sigma.item()] * 2)
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


class TestDraws:
    COUNT = 20_000

    def test_crop_area_and_ratio_stay_in_range_and_cover_it(self):
        """Checks line 9: area (0.08, 1), ratio (3/4, 4/3)."""
        side = 400  # large, so that rounding to pixels does not matter
        boxes = draw_boxes(Crop(), self.COUNT, side, side, generator(0, 0, "boxes")).double()
        top, left, height, width = boxes.unbind(1)
        area, log_ratio = height * width / side**2, torch.log(width / height)
        assert 0.079 < area.min() < 0.09
        assert 0.95 < area.max() <= 1
        assert torch.exp(log_ratio).min() == pytest.approx(0.75, abs=0.01)
        assert torch.exp(log_ratio).max() == pytest.approx(4 / 3, abs=0.01)
        assert log_ratio.mean().abs() < 0.01
        # Below 0.5 every ratio fits, so nothing is drawn again there and the area is uniform.
        small = area[area < 0.5]
        assert small.mean() == pytest.approx(0.29, abs=0.005)
        assert ((top + height <= side) & (left + width <= side) & (top >= 0) & (left >= 0)).all()

    def test_crop_is_skipped_as_often_as_the_probability_says(self):
        boxes = draw_boxes(Crop(probability=0.3, max_area=0.5), self.COUNT, 32, 32, generator(0, 0, "boxes"))
        whole = (boxes == torch.tensor([0, 0, 32, 32])).all(1)
        assert whole.float().mean() == pytest.approx(0.7, abs=0.02)

    def test_crop_falls_back_to_the_largest_centred_box(self):
        """A strip 100 times as wide as high: no box of the asked area fits."""
        boxes = draw_boxes(Crop(min_area=1, max_area=1), 5, 8, 800, generator(0, 0, "boxes"))
        assert (boxes == torch.tensor([0, 394, 8, 11])).all()

    def test_color_factors_of_strength_one_half_are_those_of_the_paper(self):
        """Checks line 9: jitter (0.4, 0.4, 0.4, 0.1) with p 0.8, grey with p 0.2."""
        drawn = draw_color(Color(strength=0.5), self.COUNT, generator(0, 0, "color"))
        low = torch.tensor([0.6, 0.6, 0.6, -0.1])
        high = torch.tensor([1.4, 1.4, 1.4, 0.1])
        torch.testing.assert_close(drawn.factors.amin(0), low, atol=2e-3, rtol=0)
        torch.testing.assert_close(drawn.factors.amax(0), high, atol=2e-3, rtol=0)
        torch.testing.assert_close(drawn.factors.mean(0), (low + high) / 2, atol=5e-3, rtol=0)
        assert drawn.jittered.float().mean() == pytest.approx(0.8, abs=0.015)
        assert drawn.gray.float().mean() == pytest.approx(0.2, abs=0.015)

    def test_the_order_of_the_four_adjustments_is_uniform(self):
        drawn = draw_color(Color(), self.COUNT, generator(0, 0, "color"))
        _, counts = drawn.order.unique(dim=0, return_counts=True)
        assert len(counts) == 24
        assert counts.float().std() < 3 * (self.COUNT / 24) ** 0.5

    def test_blur_sigmas(self):
        sigmas = draw_sigmas(Blur(probability=0.5), self.COUNT, generator(0, 0, "blur"))
        blurred = sigmas[sigmas > 0]
        assert len(blurred) / self.COUNT == pytest.approx(0.5, abs=0.02)
        assert 0.1 <= blurred.min() < 0.11
        assert 1.99 < blurred.max() <= 2
        assert blurred.mean() == pytest.approx(1.05, abs=0.02)

    def test_an_image_that_is_not_blurred_stays_as_it_is(self):
        batch = images(2)
        torch.testing.assert_close(gaussian_blur(batch, torch.zeros(2), 3), batch)


class TestTwoViews:
    def test_rows_are_first_views_then_second_views_of_the_same_images(self):
        batch = pixels()
        first, second = views_of(batch, ()).chunk(2)
        torch.testing.assert_close(first, batch.float() / 255)
        torch.testing.assert_close(second, batch.float() / 255)

    def test_every_image_view_and_step_has_its_own_parameters(self):
        """Checks line 10: the same image everywhere, and no two views of it alike."""
        same = pixels(1).expand(16, -1, -1, -1)
        seen = torch.cat([views_of(same, PAPER_CIFAR, step=step) for step in range(4)])
        distances = torch.cdist(seen.flatten(1), seen.flatten(1)) + torch.eye(len(seen)) * 1e9
        assert distances.min() > 1e-3

    @pytest.mark.parametrize("op", [Crop(), Flip(), Color(), Blur()], ids=lambda op: type(op).__name__)
    def test_each_operation_alone_draws_per_image_and_per_view(self, op):
        same = pixels(1).expand(64, -1, -1, -1)
        first, second = views_of(same, (op,)).flatten(1).chunk(2)
        assert len(first.unique(dim=0)) > 1
        assert not torch.equal(first, second)

    def test_a_step_is_repeated_bit_for_bit_whatever_came_before(self):
        batch = pixels()
        once = views_of(batch, PAPER_CIFAR, seed=5, step=7)
        torch.rand(100)
        views_of(batch, PAPER_CIFAR, seed=5, step=8)
        assert torch.equal(once, views_of(batch, PAPER_CIFAR, seed=5, step=7))
        assert not torch.equal(once, views_of(batch, PAPER_CIFAR, seed=6, step=7))

    def test_operations_are_applied_in_their_order(self):
        batch = pixels(height=64, width=64)
        crop_last, crop_first = (Blur(probability=1), Crop()), (Crop(), Blur(probability=1))
        assert not torch.allclose(views_of(batch, crop_last), views_of(batch, crop_first), atol=1e-3)

    def test_in_the_asymmetric_setting_the_second_view_is_only_cropped(self):
        """Figure 5: the transformation is applied to one branch, the other is the cropped image."""
        batch = pixels()
        first, second = views_of(batch, (Color(strength=1, jitter_probability=1),), branches="one").chunk(2)
        torch.testing.assert_close(second, batch.float() / 255)
        assert not torch.allclose(first, second, atol=1e-2)
        _, cropped = views_of(batch, (Crop(), Color()), branches="one").chunk(2)
        torch.testing.assert_close(cropped, views_of(batch, (Crop(),)).chunk(2)[1])

    @pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 64), (100, 30)])
    def test_views_are_square_float_and_within_0_and_1(self, height, width):
        views = views_of(pixels(6, height, width), (*PAPER_CIFAR, Blur()), image_size=48)
        assert views.shape == (12, 3, 48, 48)
        assert views.dtype == torch.float32
        assert views.min() >= 0
        assert views.max() <= 1

    def test_without_a_crop_images_are_resized_whole(self):
        batch = pixels(3, 64, 48)
        theirs = reference.resize(batch.float() / 255, [32, 32], antialias=True)
        torch.testing.assert_close(views_of(batch, ())[:3], theirs, atol=1e-5, rtol=0)
        torch.testing.assert_close(resized(batch, 32), theirs, atol=1e-5, rtol=0)
