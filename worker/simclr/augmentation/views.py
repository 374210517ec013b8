"""From uint8 images to the two views of a step. Every random number follows from (seed, step, operation, view)."""

from collections.abc import Sequence
from typing import Literal

import torch

from worker.simclr.augmentation.blur import Blur, draw_sigmas, gaussian_blur, kernel_size
from worker.simclr.augmentation.color import Color, distort_color, draw_color
from worker.simclr.augmentation.crop import Crop, Flip, crop_and_resize, draw_boxes, flip
from worker.simclr.randomness import generator

Op = Crop | Flip | Color | Blur
Branches = Literal["both", "one"]


def two_views(
    pixels: torch.Tensor,
    ops: Sequence[Op],
    *,
    image_size: int,
    branches: Branches,
    seed: int,
    step: int,
    rows: slice | None = None,
    batch_size: int | None = None,
) -> torch.Tensor:
    """Two views of each image (section 2.1 of the paper).

    ``pixels`` uint8 (N, 3, H, W); returns float32 (2N, 3, image_size, image_size) in [0, 1] on the same device: rows
    0..N-1 are the first views, rows N..2N-1 the second views of the same images. Parameters are drawn per image and
    per view. With ``branches`` "one" the second view is only cropped (the asymmetric setting of Figure 5).
    """
    if rows is not None and batch_size is not None and batch_size != len(pixels):
        whole = pixels.new_zeros((batch_size, *pixels.shape[1:]))
        whole[rows] = pixels
        views = two_views(whole, ops, image_size=image_size, branches=branches, seed=seed, step=step)
        return views.unflatten(0, (2, -1))[:, rows].flatten(0, 1)
    images = pixels.float() / 255
    second = ops if branches == "both" else [op for op in ops if isinstance(op, Crop)]
    views = [_one_view(images, chosen, image_size, seed, step, view) for view, chosen in enumerate((ops, second), 1)]
    return torch.cat(views)


def resized(pixels: torch.Tensor, image_size: int) -> torch.Tensor:
    """``pixels`` uint8 (N, 3, H, W) as float32 (N, 3, image_size, image_size) in [0, 1], not augmented."""
    images = pixels.float() / 255
    if images.shape[-2:] == (image_size, image_size):
        return images
    whole = torch.tensor([0, 0, *images.shape[-2:]]).expand(len(images), 4)
    return crop_and_resize(images, whole, image_size)


def _one_view(
    images: torch.Tensor, ops: Sequence[Op], image_size: int, seed: int, step: int, view: int
) -> torch.Tensor:
    for number, op in enumerate(ops):
        rng = generator(seed, step, f"view {view}, operation {number}")
        images = _apply(op, images, image_size, rng)
    if images.shape[-2:] != (image_size, image_size):
        whole = torch.tensor([0, 0, *images.shape[-2:]]).expand(len(images), 4)
        images = crop_and_resize(images, whole, image_size)
    return images


def _apply(op: Op, images: torch.Tensor, image_size: int, rng: torch.Generator) -> torch.Tensor:
    count, _, height, width = images.shape
    match op:
        case Crop():
            return crop_and_resize(images, draw_boxes(op, count, height, width, rng), image_size)
        case Flip():
            return flip(images, torch.rand(count, generator=rng) < op.probability)
        case Color():
            return distort_color(images, draw_color(op, count, rng))
        case Blur():
            return gaussian_blur(images, draw_sigmas(op, count, rng), kernel_size(image_size))
