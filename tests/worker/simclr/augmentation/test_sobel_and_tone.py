"""Sobel against scipy; equalize, solarize and the others on grey levels against torchvision and Pillow."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from PIL import Image, ImageOps
from scipy import ndimage

from tests.worker.simclr.augmentation.pictures import drawn, eight_bit, images
from worker.simclr.augmentation.sobel import Sobel, sobel
from worker.simclr.augmentation.tone import (
    Equalize,
    Solarize,
    autocontrast,
    equalize,
    invert,
    posterize,
    solarize,
)


def pictures(channels=3):
    """Eight-bit images of several kinds: noise, few levels, dark, nearly one colour, one colour."""
    batch = images(6, 40, 28, channels)
    batch[1] = (batch[1] * 3).round() / 3
    batch[2] *= 0.2
    batch[3] = (batch[3] > 0.999).float()
    batch[4] = 0.3
    batch[5] = batch[5] * 0.1 + 0.7
    return eight_bit(batch)


@pytest.mark.parametrize("channels", [3, 1, 4])
def test_sobel_is_the_length_of_scipys_gradient(channels):
    batch = images(3, 20, 27, channels) * 0.3
    for image, ours in zip(batch, sobel(batch), strict=True):
        for channel, edges in zip(image.double().numpy(), ours, strict=True):
            gradients = [ndimage.sobel(channel, axis, mode="mirror") for axis in (0, 1)]
            np.testing.assert_allclose(edges.numpy(), np.minimum(np.hypot(*gradients), 1), atol=1e-5)


@pytest.mark.parametrize("channels", [3, 1])
def test_equalize_is_torchvisions(channels):
    batch, levels = pictures(channels)
    ours = equalize(batch)
    torch.testing.assert_close(ours * 255, reference.equalize(levels).float(), atol=1e-3, rtol=0)


def test_equalize_is_pillows():
    batch, levels = pictures()
    for picture, ours in zip(levels, equalize(batch), strict=True):
        theirs = ImageOps.equalize(Image.fromarray(picture.permute(1, 2, 0).numpy()))
        np.testing.assert_allclose(ours.permute(1, 2, 0).numpy() * 255, np.asarray(theirs), atol=1e-3)


def test_solarize_is_torchvisions():
    batch, thresholds = images(5), torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0])
    for image, threshold, ours in zip(batch, thresholds, solarize(batch, thresholds), strict=True):
        torch.testing.assert_close(ours, reference.solarize(image, threshold.item()), atol=1e-6, rtol=0)
    own = Solarize(threshold=0.25).apply(batch.clone(), torch.ones(5, 1), 32)
    torch.testing.assert_close(own, reference.solarize(batch, 0.25), atol=1e-6, rtol=0)


def test_posterize_is_torchvisions_on_eight_bit_levels():
    batch, levels = pictures()
    bits = torch.tensor([8, 7, 5, 4, 1, 0])
    for picture, kept, ours in zip(levels, bits, posterize(batch, bits), strict=True):
        torch.testing.assert_close(ours * 255, reference.posterize(picture, int(kept)).float(), atol=1e-3, rtol=0)


def test_autocontrast_and_invert_are_torchvisions():
    batch, _ = pictures()
    torch.testing.assert_close(autocontrast(batch), reference.autocontrast(batch), atol=1e-5, rtol=0)
    torch.testing.assert_close(invert(batch), reference.invert(batch))


@pytest.mark.parametrize(("op", "function"), [(Sobel(), sobel), (Equalize(), equalize)], ids=["sobel", "equalize"])
def test_only_the_chosen_images_are_changed(op, function):
    batch, _ = pictures()
    chosen = torch.tensor([1.0, 0, 0, 1, 0, 1]).unsqueeze(1)
    result = op.apply(batch.clone(), chosen, 40)
    assert torch.equal(result[[1, 2, 4]], batch[[1, 2, 4]])
    torch.testing.assert_close(result[[0, 3, 5]], function(batch)[[0, 3, 5]])


@pytest.mark.parametrize("op", [Sobel(0.3), Equalize(0.3), Solarize(0.3)], ids=lambda op: type(op).__name__)
def test_the_probability_is_kept(op):
    assert drawn(op).mean() == pytest.approx(0.3, abs=0.015)
