"""Cutout and rotation against torchvision, and their draws against their distributions."""

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from tests.worker.simclr.augmentation.pictures import COUNT, distance_from_uniform, drawn, images
from worker.simclr.augmentation.cutout import Cutout
from worker.simclr.augmentation.rotate import Rotate


@pytest.mark.parametrize("channels", [3, 1])
def test_cutout_is_torchvisions_erase_cut_off_at_the_edge(channels):
    batch = images(5, 20, 30, channels)
    boxes = [(4, 7, 10), (-3, -4, 8), (15, 25, 9), (0, 0, 0), (18, -2, 4)]
    ours = Cutout(fill=0.25).apply(batch.clone(), torch.tensor(boxes).float(), 32)
    for image, (top, left, side), cut in zip(batch, boxes, ours, strict=True):
        first_row, first_column = max(top, 0), max(left, 0)
        rows, columns = min(top + side, 20) - first_row, min(left + side, 30) - first_column
        theirs = reference.erase(image, first_row, first_column, rows, columns, torch.tensor(0.25))
        assert torch.equal(cut, theirs)


def test_the_squares_centre_is_any_pixel_and_its_side_half_the_images():
    top, left, side = drawn(Cutout(), COUNT, 300, 500).unbind(1)
    assert (side == 150).all()
    assert distance_from_uniform(top + 75 + 0.5, 0, 300) < 1.95
    assert distance_from_uniform(left + 75 + 0.5, 0, 500) < 1.95


def test_the_squares_side_is_uniform_and_its_probability_kept():
    side = drawn(Cutout(probability=0.4, min_size=0.1, max_size=0.6), COUNT, 1000, 1000)[:, 2]
    assert (side > 0).float().mean() == pytest.approx(0.4, abs=0.015)
    assert distance_from_uniform(side[side > 0], 100, 600) < 1.95


def test_rotation_is_torchvisions():
    batch = images(4, channels=2)
    ours = Rotate().apply(batch.clone(), torch.arange(4.0).unsqueeze(1), 32)
    for turns, (image, rotated) in enumerate(zip(batch, ours, strict=True)):
        assert torch.equal(rotated, reference.rotate(image, 90.0 * turns))


def test_an_image_that_is_not_square_is_rotated_and_then_resized():
    batch = images(4, 20, 31)
    ours = Rotate().apply(batch.clone(), torch.arange(4.0).unsqueeze(1), 32)
    for turns, (image, rotated) in enumerate(zip(batch, ours, strict=True)):
        theirs = reference.resize(image.rot90(turns, (-2, -1)), [32, 32], antialias=True)
        torch.testing.assert_close(rotated, theirs, atol=3e-5, rtol=0)
    assert Rotate().output_shape(20, 31, 32) == (32, 32)
    assert Rotate().output_shape(20, 20, 32) == (20, 20)


@pytest.mark.parametrize(("probability", "shares"), [(0.75, [1 / 4] * 4), (1.0, [0, 1 / 3, 1 / 3, 1 / 3])])
def test_the_three_rotations_are_equally_likely(probability, shares):
    counts = torch.bincount(drawn(Rotate(probability))[:, 0].long(), minlength=4)
    torch.testing.assert_close(counts / COUNT, torch.tensor(shares), atol=0.012, rtol=0)
