"""The two views of a step: which rows are which, whose parameters are whose, and parts of a batch."""

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from tests.worker.simclr.augmentation.pictures import pixels
from worker.simclr.augmentation import views as views_module
from worker.simclr.augmentation.autoaugment import AutoAugment
from worker.simclr.augmentation.blur import Blur, MotionBlur
from worker.simclr.augmentation.color import Color, Grayscale, Jitter
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.cutout import Cutout
from worker.simclr.augmentation.noise import Noise
from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.rotate import Rotate
from worker.simclr.augmentation.sobel import Sobel
from worker.simclr.augmentation.tone import Equalize, Solarize
from worker.simclr.augmentation.views import plan_views, resized, two_views

PAPER_CIFAR = (Crop(), Flip(), Color(strength=0.5))
COLORLESS = (
    Crop(),
    Flip(),
    Grayscale(),
    Blur(),
    Cutout(),
    Rotate(),
    Noise(),
    Sobel(),
    Equalize(),
    Solarize(),
    MotionBlur(),
)
RGB = (Color(), Jitter(), AutoAugment())
EVERY = (*COLORLESS, *RGB)


def views_of(batch, ops, *, image_size=32, branches="both", seed=0, step=0, **part):
    return two_views(batch, ops, image_size=image_size, branches=branches, seed=seed, step=step, **part)


def name(op):
    return type(op).__name__


def test_every_operation_is_tested_here():
    def leaves(kind):
        return {kind} if not kind.__subclasses__() else {leaf for sub in kind.__subclasses__() for leaf in leaves(sub)}

    assert {type(op) for op in EVERY} == {leaf for leaf in leaves(Op) if leaf.__module__.startswith("worker.")}
    assert {op for op in EVERY if op.needs_rgb} == set(RGB)


def test_rows_are_first_views_then_second_views_of_the_same_images():
    batch = pixels()
    first, second = views_of(batch, ()).chunk(2)
    torch.testing.assert_close(first, batch.float() / 255)
    torch.testing.assert_close(second, batch.float() / 255)


def test_every_image_view_and_step_has_its_own_parameters():
    """Checks line 10: the same image everywhere, and no two views of it alike."""
    same = pixels(1).expand(16, -1, -1, -1)
    seen = torch.cat([views_of(same, PAPER_CIFAR, step=step) for step in range(4)])
    distances = torch.cdist(seen.flatten(1), seen.flatten(1)) + torch.eye(len(seen)) * 1e9
    assert distances.min() > 1e-3


@pytest.mark.parametrize("op", EVERY, ids=name)
def test_each_operation_alone_draws_per_image_and_per_view(op):
    same = pixels(1).expand(64, -1, -1, -1)
    first, second = views_of(same, (op,)).flatten(1).chunk(2)
    assert len(first.unique(dim=0)) > 1
    assert not torch.equal(first, second)


@pytest.mark.parametrize("op", EVERY, ids=name)
def test_the_same_operation_twice_draws_twice(op):
    same = pixels(1).expand(32, -1, -1, -1)
    plan = plan_views((op, op), batch_size=32, height=32, width=32, image_size=32, branches="both", seed=0, step=0)
    (_, once), (_, again) = plan.ops
    assert not torch.equal(once, again)
    assert views_of(same, (op, op)).isfinite().all()


def test_a_step_is_repeated_bit_for_bit_whatever_came_before():
    batch = pixels()
    once = views_of(batch, EVERY, seed=5, step=7)
    torch.rand(100)
    views_of(batch, EVERY, seed=5, step=8)
    assert torch.equal(once, views_of(batch, EVERY, seed=5, step=7))
    assert not torch.equal(once, views_of(batch, EVERY, seed=6, step=7))


def test_operations_are_applied_in_their_order():
    batch = pixels(height=64, width=64)
    crop_last, crop_first = (Blur(probability=1), Crop()), (Crop(), Blur(probability=1))
    assert not torch.allclose(views_of(batch, crop_last), views_of(batch, crop_first), atol=1e-3)


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 24)])
@pytest.mark.parametrize("op", [None, *EVERY], ids=lambda op: name(op) if op else "all")
def test_a_part_of_a_batch_gets_the_views_that_the_whole_gives_it(op, height, width, branches):
    """What several GPUs and micro-batches rest on."""
    batch, ops = pixels(12, height, width), EVERY if op is None else (op,)
    first, second = views_of(batch, ops, branches=branches, step=3).chunk(2)
    for rows in (slice(0, 5), slice(5, 6), slice(6, 12)):
        part = views_of(batch[rows], ops, branches=branches, step=3, rows=rows, batch_size=12)
        assert torch.equal(part, torch.cat([first[rows], second[rows]]))


@pytest.mark.parametrize("branches", ["both", "one"])
def test_how_much_is_augmented_at_once_changes_nothing(branches, monkeypatch):
    batch = pixels()
    whole = views_of(batch, EVERY, branches=branches)
    monkeypatch.setattr(views_module, "CACHED_BYTES", 5 * 8 * 3 * 32 * 32)
    assert torch.equal(views_of(batch, EVERY, branches=branches), whole)


class TestInTheAsymmetricSetting:
    """Figure 5: both views are one crop of the image, only the first is transformed further: t(x) and x."""

    def test_the_second_view_is_the_first_before_it_is_transformed(self):
        batch = pixels(height=48, width=64)
        first, second = views_of(batch, (Solarize(probability=1),), branches="one").chunk(2)
        torch.testing.assert_close(first, reference.solarize(second, 0.5), atol=1e-6, rtol=0)

    def test_what_both_share_is_the_crop_of_appendix_a(self):
        batch = pixels()
        first, second = views_of(batch, (), branches="one").chunk(2)
        assert torch.equal(first, second)
        whole = (batch.float() / 255 - second).abs().amax((1, 2, 3)) < 1e-3
        assert not whole.any()
        assert (Crop(), Flip()) == views_module.SHARED

    def test_a_crop_in_the_list_is_a_second_one_of_the_first_view_alone(self):
        batch = pixels()
        first, second = views_of(batch, (Crop(),), branches="one").chunk(2)
        _, uncropped = views_of(batch, (), branches="one").chunk(2)
        assert torch.equal(second, uncropped)
        assert ((first - second).abs().amax((1, 2, 3)) > 0.1).all()


@pytest.mark.parametrize("side", [32, 96, 224])
@pytest.mark.parametrize("op", EVERY, ids=name)
def test_views_of_every_operation_are_square_float_and_within_0_and_1(op, side):
    views = views_of(pixels(4, side, side + 9), (op,), image_size=side)
    assert views.shape == (8, 3, side, side)
    assert views.dtype == torch.float32
    assert views.min() >= -1e-6
    assert views.max() <= 1 + 1e-6


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("op", COLORLESS, ids=name)
def test_operations_that_are_not_of_colour_take_any_number_of_channels(op, channels):
    views = views_of(pixels(4, 20, 20, channels), (op,), image_size=16)
    assert views.shape == (8, channels, 16, 16)
    assert ((views >= -1e-6) & (views <= 1 + 1e-6)).all()


def test_views_lie_in_memory_as_the_net_wants_them():
    views = views_of(pixels(), PAPER_CIFAR)
    assert views.is_contiguous(memory_format=torch.channels_last)


def test_the_pixels_given_are_left_as_they_are():
    batch = pixels()
    before = batch.clone()
    views_of(batch, EVERY)
    assert torch.equal(batch, before)


def test_without_a_crop_images_are_resized_whole():
    batch = pixels(3, 64, 48)
    theirs = reference.resize(batch.float() / 255, [32, 32], antialias=True)
    torch.testing.assert_close(views_of(batch, ())[:3], theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(resized(batch, 32), theirs, atol=1e-5, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_makes_the_views_of_the_cpu_without_being_waited_for():
    batch = pixels(16)
    on_cpu = views_of(batch, EVERY)
    near = batch.cuda()
    views_of(near, EVERY)
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = views_of(near, EVERY)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    # Rounding decides which 8-bit level or pixel is the nearest, so that a few pixels may differ by more.
    assert ((on_gpu.cpu() - on_cpu).abs() > 1e-3).float().mean() < 0.02
