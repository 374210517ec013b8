"""Random resized crop and horizontal flip (appendix A), batched.

Resizing is two batched matrix products with interpolation weights of each image's own crop. The weights are those of
antialiased bilinear interpolation, so the result is torchvision's ``resized_crop(..., antialias=True)``.
"""

import math
from dataclasses import dataclass

import torch

ATTEMPTS = 10
"""Draws of a crop before the fallback to a centre crop, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Crop:
    """Crop with area and aspect ratio drawn per image, resized back. Areas are shares of the image."""

    probability: float = 1.0
    min_area: float = 0.08
    max_area: float = 1.0
    min_ratio: float = 3 / 4
    max_ratio: float = 4 / 3


@dataclass(frozen=True)
class Flip:
    """Horizontal flip."""

    probability: float = 0.5


def draw_boxes(op: Crop, count: int, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
    """Boxes to cut, int64 (count, 4) as (top, left, height, width) in pixels.

    The area is uniform and the logarithm of the aspect ratio is uniform; a box that does not fit is drawn again, up to
    ten times, then the largest centred box with an allowed ratio is taken (torchvision's RandomResizedCrop).
    """
    area = height * width * _uniform((count, ATTEMPTS), op.min_area, op.max_area, rng)
    ratio = torch.exp(_uniform((count, ATTEMPTS), math.log(op.min_ratio), math.log(op.max_ratio), rng))
    widths = torch.sqrt(area * ratio).round().long()
    heights = torch.sqrt(area / ratio).round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = torch.argmax(fits.int(), dim=1, keepdim=True)
    box_width, box_height = widths.gather(1, first).squeeze(1), heights.gather(1, first).squeeze(1)
    fallback_height, fallback_width = _largest_box(op, height, width)
    fitting = fits.any(dim=1)
    box_height = torch.where(fitting, box_height, fallback_height)
    box_width = torch.where(fitting, box_width, fallback_width)
    place = torch.rand(2, count, generator=rng, dtype=torch.float64)
    top = torch.where(fitting, (place[0] * (height - box_height + 1)).long(), (height - box_height) // 2)
    left = torch.where(fitting, (place[1] * (width - box_width + 1)).long(), (width - box_width) // 2)
    kept = torch.rand(count, generator=rng) >= op.probability
    boxes = torch.stack([top, left, box_height, box_width], dim=1)
    boxes[kept] = torch.tensor([0, 0, height, width])
    return boxes


def crop_and_resize(images: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Cut ``boxes`` (N, 4) out of ``images`` float (N, C, H, W) and resize each to (size, size)."""
    height, width = images.shape[-2:]
    top, left, box_height, box_width = boxes.to(images.device, non_blocking=True).unbind(1)
    rows = _interpolation_weights(top, box_height, height, size)  # (N, size, H)
    columns = _interpolation_weights(left, box_width, width, size)  # (N, size, W)
    count, channels = images.shape[:2]
    narrowed = torch.bmm(images.reshape(count, channels * height, width), columns.transpose(1, 2))
    narrowed = narrowed.view(count, channels, height, size)
    # A product for each channel: a broadcast one would copy the weights for each of them.
    return torch.stack([torch.bmm(rows, narrowed[:, channel]) for channel in range(channels)], dim=1)


def flip(images: torch.Tensor, flipped: torch.Tensor) -> torch.Tensor:
    """Mirror those of ``images`` (N, C, H, W) whose entry of ``flipped``, bool (N,), is true."""
    chosen = flipped.to(images.device, non_blocking=True).view(-1, 1, 1, 1)
    return torch.where(chosen, images.flip(-1), images)


def _interpolation_weights(start: torch.Tensor, length: torch.Tensor, source: int, size: int) -> torch.Tensor:
    """Weights (N, size, source) of bilinear interpolation with antialiasing; each row sums to 1.

    Output pixel j lies at start + (j + 1/2) * length / size in the source; its weights are a triangle of half-width
    max(1, length / size) cut off at the box.
    """
    scale = (length / size).view(-1, 1, 1)
    begin, end = start.view(-1, 1, 1), (start + length).view(-1, 1, 1)
    target = torch.arange(size, device=start.device).view(1, -1, 1)
    pixel = torch.arange(source, device=start.device).view(1, 1, -1)
    distance = (pixel + 0.5 - (begin + (target + 0.5) * scale)).abs()
    weights = (1 - distance / scale.clamp(min=1)).clamp(min=0)
    weights = weights * ((pixel >= begin) & (pixel < end))
    return weights / weights.sum(dim=-1, keepdim=True)


def _largest_box(op: Crop, height: int, width: int) -> tuple[int, int]:
    ratio = min(max(width / height, op.min_ratio), op.max_ratio)
    if width / height < ratio:
        return min(height, round(width / ratio)), width
    return height, min(width, round(height * ratio))


def _uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=rng, dtype=torch.float64)
