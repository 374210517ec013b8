"""Crop, resize and flip: against torchvision for the same boxes, and the boxes against their distribution."""

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from tests.worker.simclr.augmentation.pictures import COUNT, distance_from_uniform, drawn, images
from worker.simclr.augmentation.crop import Crop, Flip, crop_and_resize, resize


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(32, 32, 32), (48, 80, 32), (20, 31, 64), (250, 180, 224), (224, 224, 224), (96, 96, 32), (64, 20, 48)],
)
@pytest.mark.parametrize("channels", [3, 1, 5])
def test_a_crop_is_torchvisions(height, width, size, channels):
    batch, boxes = images(6, height, width, channels), drawn(Crop(), 6, height, width)
    for image, box, ours in zip(batch, boxes.int().tolist(), crop_and_resize(batch, boxes, size), strict=True):
        theirs = reference.resized_crop(image, *box, [size, size], antialias=True)
        torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=0)


def test_a_box_of_the_whole_image_at_its_size_is_the_image():
    batch = images()
    boxes = torch.tensor([0, 0, 32, 32]).expand(12, 4)
    torch.testing.assert_close(crop_and_resize(batch, boxes, 32), batch, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width", "size"), [(64, 48, 32), (20, 30, 32)])
def test_a_resized_image_is_torchvisions(height, width, size):
    batch = images(4, height, width)
    theirs = reference.resize(batch, [size, size], antialias=True)
    torch.testing.assert_close(resize(batch, size), theirs, atol=2e-5, rtol=0)


def test_a_flip_is_torchvisions():
    batch, chosen = images(), torch.arange(12) % 3 == 0
    flipped = Flip().apply(batch.clone(), chosen.float().unsqueeze(1), 32)
    for image, mirrored, ours in zip(batch, chosen, flipped, strict=True):
        assert torch.equal(ours, reference.horizontal_flip(image) if mirrored else image)


def test_half_of_the_images_are_flipped():
    assert drawn(Flip()).mean() == pytest.approx(0.5, abs=0.015)


def test_crop_area_and_ratio_stay_in_range_and_cover_it():
    """Checks line 9: area (0.08, 1), ratio (3/4, 4/3)."""
    side = 400  # large, so that rounding to pixels does not matter
    boxes = drawn(Crop(), COUNT, side, side).double()
    top, left, height, width = boxes.unbind(1)
    area, log_ratio = height * width / side**2, torch.log(width / height)
    assert 0.079 < area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert torch.exp(log_ratio).min() == pytest.approx(0.75, abs=0.01)
    assert torch.exp(log_ratio).max() == pytest.approx(4 / 3, abs=0.01)
    assert log_ratio.mean().abs() < 0.01
    # Below 0.5 every ratio fits, so nothing is drawn again there and the area is uniform.
    small = area[area < 0.5]
    assert distance_from_uniform(small, 0.08, 0.5) < 1.95
    assert ((top + height <= side) & (left + width <= side) & (top >= 0) & (left >= 0)).all()


def test_crops_of_one_size_lie_everywhere_alike():
    boxes = drawn(Crop(min_area=0.25, max_area=0.25, min_ratio=1, max_ratio=1), COUNT, 1001, 1001)
    assert (boxes[:, 2:] == 500).all()
    for corner in boxes[:, :2].unbind(1):
        assert distance_from_uniform(corner + 0.5, 0, 502) < 1.95


def test_a_crop_is_skipped_as_often_as_the_probability_says():
    boxes = drawn(Crop(probability=0.3, max_area=0.5))
    whole = (boxes == torch.tensor([0, 0, 32, 32])).all(1)
    assert whole.float().mean() == pytest.approx(0.7, abs=0.02)


def test_a_crop_that_fits_nowhere_is_the_largest_centred_box():
    """A strip 100 times as wide as high: no box of the asked area fits."""
    boxes = drawn(Crop(min_area=1, max_area=1), 5, 8, 800)
    assert (boxes == torch.tensor([0, 394, 8, 11])).all()
