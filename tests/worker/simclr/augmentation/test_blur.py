"""Gaussian blur against torchvision, motion blur against a float64 kernel, and their draws."""

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from scipy import ndimage

from tests.worker.simclr.augmentation.pictures import COUNT, distance_from_uniform, drawn, images
from worker.simclr.augmentation.blur import Blur, MotionBlur, gaussian_blur, kernel_size, line_taps, motion_blur


@pytest.mark.parametrize(("side", "taps"), [(32, 3), (96, 9), (224, 23)])
def test_gaussian_blur_is_torchvisions(side, taps):
    assert kernel_size(side) == taps
    batch, sigmas = images(4, side, side // 2 + 9), torch.tensor([0.1, 0.7, 1.3, 2.0])
    for image, sigma, ours in zip(batch, sigmas, gaussian_blur(batch, sigmas, taps), strict=True):
        theirs = reference.gaussian_blur(image, [taps, taps], [sigma.item()] * 2)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_only_images_with_a_sigma_are_blurred():
    batch, sigmas = images(3, channels=2), torch.tensor([0.0, 1.0, 0.0])
    blurred = Blur().apply(batch.clone(), sigmas.unsqueeze(1), 32)
    assert torch.equal(blurred[::2], batch[::2])
    torch.testing.assert_close(blurred[1], reference.gaussian_blur(batch[1], [3, 3], [1.0, 1.0]), atol=1e-5, rtol=0)


def test_sigmas_are_uniform_from_0_1_to_2_for_half_of_the_images():
    sigmas = drawn(Blur())[:, 0]
    blurred = sigmas[sigmas > 0]
    assert len(blurred) / COUNT == pytest.approx(0.5, abs=0.02)
    assert distance_from_uniform(blurred, 0.1, 2.0) < 1.95


def line_kernel(length, angle, taps):
    """1 minus the distance of each pixel's centre from a line through the middle, in float64, with sum 1."""
    kernel = np.zeros((taps, taps))
    end = np.array([math.cos(angle), math.sin(angle)]) * length / 2
    for row, column in np.ndindex(taps, taps):
        point = np.array([column - taps // 2, taps // 2 - row], dtype=float)
        places = np.linspace(-1, 1, 4001)[:, None] * end
        kernel[row, column] = max(0, 1 - np.linalg.norm(places - point, axis=1).min())
    return kernel / kernel.sum()


def test_motion_blur_is_a_filter_along_a_line():
    lengths, angles = torch.tensor([1.0, 3.2, 5.9, 4.0]), torch.tensor([0.4, 0.0, math.pi / 3, 2.5])
    batch, taps = images(4, 24, 33), line_taps(6.0)
    for image, length, angle, ours in zip(
        batch, lengths, angles, motion_blur(batch, lengths, angles, taps), strict=True
    ):
        kernel = line_kernel(length.item(), angle.item(), taps)
        theirs = [ndimage.correlate(channel.double().numpy(), kernel, mode="mirror") for channel in image]
        np.testing.assert_allclose(ours.numpy(), np.stack(theirs), atol=2e-5)


@pytest.mark.parametrize("length", [0.5, 2.0, 6.0, 22.4])
def test_the_kernel_of_a_line_holds_it_at_any_angle(length):
    """A frame more around it would weigh nothing, and one less would cut something off."""
    taps = line_taps(length)
    wider = line_kernel(length, 0.0, taps + 2)
    assert wider[0].sum() + wider[-1].sum() + wider[:, 0].sum() + wider[:, -1].sum() == 0
    assert line_kernel(length, 0.0, taps)[:, 0].sum() > 0 or length % 2 == 0


def test_the_lines_lengths_and_angles_are_uniform():
    lengths, angles = drawn(MotionBlur(probability=0.7, min_length=0.1, max_length=0.2), COUNT, 50, 100).unbind(1)
    assert (lengths > 0).float().mean() == pytest.approx(0.7, abs=0.015)
    assert distance_from_uniform(lengths[lengths > 0], 5, 10) < 1.95
    assert distance_from_uniform(angles, 0, math.pi) < 1.95


def test_motion_blur_leaves_images_without_a_line_as_they_are():
    batch = images(2, 20, 28, channels=1)
    blurred = MotionBlur(max_length=0.25).apply(batch.clone(), torch.tensor([[0.0, 1.0], [5.0, 1.0]]), 32)
    assert torch.equal(blurred[0], batch[0])
    torch.testing.assert_close(blurred[1:], motion_blur(batch[1:], torch.tensor([5.0]), torch.tensor([1.0]), 7))
