"""Random resized crop and horizontal flip (appendix A), batched.

Resizing equals torchvision's ``resized_crop(..., antialias=True)``: each image's own crop is sampled bilinearly where
the image is not larger than the view, and else resized by two batched products with antialiasing weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Op, Switch, happens, send

ATTEMPTS = 10
"""Draws of a crop before the fallback to a centre crop, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Crop(Op):
    """Crop with area and aspect ratio drawn per image, resized to the view. Areas are shares of the image."""

    probability: float = 1.0
    min_area: float = 0.08
    max_area: float = 1.0
    min_ratio: float = 3 / 4
    max_ratio: float = 4 / 3

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """Boxes (count, 4): top, left, height, width in whole pixels.

        The area is uniform and the logarithm of the aspect ratio is uniform; a box that does not fit is drawn again,
        up to ten times, then the largest centred box with an allowed ratio is taken (torchvision's RandomResizedCrop).
        """
        area = height * width * _uniform((count, ATTEMPTS), self.min_area, self.max_area, rng)
        ratio = torch.exp(_uniform((count, ATTEMPTS), math.log(self.min_ratio), math.log(self.max_ratio), rng))
        widths = torch.sqrt(area * ratio).round().long()
        heights = torch.sqrt(area / ratio).round().long()
        fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
        first = torch.argmax(fits.int(), dim=1, keepdim=True)
        box_width, box_height = widths.gather(1, first).squeeze(1), heights.gather(1, first).squeeze(1)
        fallback_height, fallback_width = self._largest_box(height, width)
        fitting = fits.any(dim=1)
        box_height = torch.where(fitting, box_height, fallback_height)
        box_width = torch.where(fitting, box_width, fallback_width)
        place = torch.rand(2, count, generator=rng, dtype=torch.float64)
        top = torch.where(fitting, (place[0] * (height - box_height + 1)).long(), (height - box_height) // 2)
        left = torch.where(fitting, (place[1] * (width - box_width + 1)).long(), (width - box_width) // 2)
        boxes = torch.stack([top, left, box_height, box_width], dim=1).float()
        boxes[~happens(self.probability, count, rng)] = torch.tensor([0.0, 0.0, height, width])
        return boxes

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """The boxes cut out and resized to (n, C, size, size)."""
        return crop_and_resize(images, parameters, size)

    def output_shape(self, height: int, width: int, size: int) -> tuple[int, int]:
        """Square."""
        return size, size

    def _largest_box(self, height: int, width: int) -> tuple[int, int]:
        ratio = min(max(width / height, self.min_ratio), self.max_ratio)
        if width / height < ratio:
            return min(height, round(width / ratio)), width
        return height, min(width, round(height * ratio))


@dataclass(frozen=True)
class Flip(Switch):
    """Horizontal flip."""

    probability: float = 0.5

    def transform(self, images: Tensor) -> Tensor:
        """Mirrored."""
        return images.flip(-1)


def crop_and_resize(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut ``boxes`` (N, 4) out of ``images`` float (N, C, H, W) and resize each to (size, size)."""
    boxes = send(boxes.float(), images.device)
    if max(images.shape[-2:]) <= size:
        return _sampled(images, boxes, size)
    return _averaged(images, boxes, size)


def resize(images: Tensor, size: int) -> Tensor:
    """``images`` float (N, C, H, W) as (N, C, size, size); the aspect ratio is not kept."""
    if images.shape[-2:] == (size, size):
        return images
    return crop_and_resize(images, torch.tensor([0, 0, *images.shape[-2:]]).expand(len(images), 4), size)


def _sampled(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Bilinear samples within each box; there is nothing to antialias, as no box is larger than the view."""
    height, width = images.shape[-2:]
    top, left, box_height, box_width = boxes.unsqueeze(2).unbind(1)  # (N, 1) each
    share = (torch.arange(size, device=images.device) + 0.5) / size
    # Positions in pixels, between the centres of the box's first and last pixel: what lies beyond the box is not seen.
    y = torch.minimum(torch.maximum(top + share * box_height - 0.5, top), top + box_height - 1)
    x = torch.minimum(torch.maximum(left + share * box_width - 0.5, left), left + box_width - 1)
    grid = torch.empty(len(images), size, size, 2, device=images.device)
    grid[..., 0] = ((2 * x + 1) / width - 1).unsqueeze(1)
    grid[..., 1] = ((2 * y + 1) / height - 1).unsqueeze(2)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _averaged(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Two batched matrix products with interpolation weights of each image's own box."""
    count, channels, height, width = images.shape
    top, left, box_height, box_width = boxes.unbind(1)
    rows = _interpolation_weights(top, box_height, height, size)  # (N, size, H)
    columns = _interpolation_weights(left, box_width, width, size)  # (N, size, W)
    narrowed = torch.bmm(images.reshape(count, channels * height, width), columns.transpose(1, 2))
    narrowed = narrowed.view(count, channels, height, size)
    # A product for each channel: a broadcast one would copy the weights for each of them.
    return torch.stack([torch.bmm(rows, narrowed[:, channel]) for channel in range(channels)], dim=1)


def _interpolation_weights(start: Tensor, length: Tensor, source: int, size: int) -> Tensor:
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


def _uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=rng, dtype=torch.float64)
