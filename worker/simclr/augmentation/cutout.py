"""Cutout (DeVries and Taylor, arXiv 1708.04552; Figure 4), batched."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Op, happens, send, uniform


@dataclass(frozen=True)
class Cutout(Op):
    """A square painted over in one grey, centred on a random pixel and cut off at the image's edge.

    Its side, a share of the image's shorter side, is drawn per image.
    """

    probability: float = 1.0
    min_size: float = 0.5
    max_size: float = 0.5
    fill: float = 0.5

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 3): top and left, which may lie outside, and the side, 0 where nothing is painted, in pixels."""
        side = (uniform(self.min_size, self.max_size, count, rng) * min(height, width)).round().clamp(min=1)
        place = torch.rand(2, count, generator=rng, dtype=torch.float64)
        top = (place[0] * height).floor() - side // 2
        left = (place[1] * width).floor() - side // 2
        side = side * happens(self.probability, count, rng)
        return torch.stack([top.float(), left.float(), side], dim=1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """The squares painted."""
        top, left, side = send(parameters, images.device).unsqueeze(2).unbind(1)  # (n, 1) each
        row = torch.arange(images.shape[-2], device=images.device)
        column = torch.arange(images.shape[-1], device=images.device)
        rows = (row >= top) & (row < top + side)
        columns = (column >= left) & (column < left + side)
        return images.masked_fill_((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), self.fill)
