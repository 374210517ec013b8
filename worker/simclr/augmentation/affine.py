"""Shear, translation, rotation and sharpness as AutoAugment has them: nearest pixel, what is uncovered is grey."""

import math

import torch
from torch import Tensor

GREY = 0.5


def shear_x(images: Tensor, shears: Tensor) -> Tensor:
    """Rows of ``images`` (N, C, H, W) moved to the left by ``shears`` (N,) pixels for every pixel from the top."""
    ones, zeros = torch.ones_like(shears), torch.zeros_like(shears)
    return _moved(images, [ones, shears, shears * images.shape[-2] / 2, zeros, ones, zeros])


def shear_y(images: Tensor, shears: Tensor) -> Tensor:
    """Columns moved up by ``shears`` (N,) pixels for every pixel from the left."""
    ones, zeros = torch.ones_like(shears), torch.zeros_like(shears)
    return _moved(images, [ones, zeros, zeros, shears, ones, shears * images.shape[-1] / 2])


def translate_x(images: Tensor, shares: Tensor) -> Tensor:
    """Moved to the right by ``shares`` (N,) of the width, in whole pixels."""
    ones, zeros = torch.ones_like(shares), torch.zeros_like(shares)
    return _moved(images, [ones, zeros, -torch.trunc(shares * images.shape[-1]), zeros, ones, zeros])


def translate_y(images: Tensor, shares: Tensor) -> Tensor:
    """Moved down by ``shares`` (N,) of the height, in whole pixels."""
    ones, zeros = torch.ones_like(shares), torch.zeros_like(shares)
    return _moved(images, [ones, zeros, zeros, zeros, ones, -torch.trunc(shares * images.shape[-2])])


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotated about the centre by ``degrees`` (N,), counter-clockwise."""
    radians = degrees * (math.pi / 180)
    cosine, sine, zeros = torch.cos(radians), torch.sin(radians), torch.zeros_like(radians)
    return _moved(images, [cosine, -sine, zeros, sine, cosine, zeros])


def adjust_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend of ``images`` (N, C, H, W) with smoothed ones by ``factors`` (N,), 1 changes nothing; edges stay as they are.

    The smoothing is Pillow's: the pixel weighs 5 and each of its 8 neighbours 1.
    """
    inner = images[..., 1:-1, 1:-1]
    smooth = (9 * torch.nn.functional.avg_pool2d(images, 3, stride=1) + 4 * inner) / 13
    result = images.clone()
    result[..., 1:-1, 1:-1] = torch.lerp(smooth, inner, factors.view(-1, 1, 1, 1)).clamp_(0, 1)
    return result


def _moved(images: Tensor, matrix: list[Tensor]) -> Tensor:
    """``images`` (N, C, H, W) with pixel (x, y) taken from (a x + b y + c, d x + e y + f), pixels from the centre.

    ``matrix`` holds a, b, c, d, e, f, each (N,).
    """
    height, width = images.shape[-2:]
    a, b, c, d, e, f = matrix
    theta = torch.stack(
        [a, b * (height / width), c * (2 / width), d * (width / height), e, f * (2 / height)], dim=1
    ).view(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    # Outside of the image the samples are 0.
    return torch.nn.functional.grid_sample(images - GREY, grid, mode="nearest", align_corners=False) + GREY
