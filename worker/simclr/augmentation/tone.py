"""Operations on grey levels: equalize and solarize (appendix B.2), and the others that AutoAugment has, batched.

They are torchvision's (and so Pillow's). Those that are defined on 8-bit levels round to such levels first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Switch

LEVELS = 256


@dataclass(frozen=True)
class Equalize(Switch):
    """Histogram equalisation, channel by channel."""

    probability: float = 0.2

    def transform(self, images: Tensor) -> Tensor:
        """Equalised."""
        return equalize(images)


@dataclass(frozen=True)
class Solarize(Switch):
    """Intensities from ``threshold`` on are inverted."""

    probability: float = 0.2
    threshold: float = 0.5

    def transform(self, images: Tensor) -> Tensor:
        """Solarised."""
        return solarize(images, torch.full((len(images),), self.threshold, device=images.device))


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """``images`` (N, C, H, W) with the intensities from ``thresholds`` (N,) on inverted."""
    return torch.where(images >= thresholds.view(-1, 1, 1, 1), 1 - images, images)


def invert(images: Tensor) -> Tensor:
    """The negatives of ``images``."""
    return 1 - images


def autocontrast(images: Tensor) -> Tensor:
    """Each channel of ``images`` (N, C, H, W) stretched to 0 and 1; a channel of one intensity stays as it is."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-12), images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """``images`` (N, C, H, W) as 8-bit levels of which only the first ``bits`` (N,), from 0 to 8, are kept."""
    step = torch.exp2(8 - bits).view(-1, 1, 1, 1)
    levels = (images * (LEVELS - 1)).round()
    return torch.floor(levels / step) * step / (LEVELS - 1)


def equalize(images: Tensor) -> Tensor:
    """Each channel of ``images`` (N, C, H, W) with its histogram of 8-bit levels made as even as can be."""
    planes = (images * (LEVELS - 1)).round().long().flatten(0, 1).flatten(1)  # (N C, H W)
    count = len(planes)
    places = planes + LEVELS * torch.arange(count, device=images.device).unsqueeze(1)
    histogram = torch.zeros(count * LEVELS, dtype=torch.long, device=images.device)
    histogram.scatter_add_(0, places.flatten(), torch.ones_like(planes).flatten())
    histogram = histogram.view(count, LEVELS)
    brightest = histogram.gather(1, planes.amax(1, keepdim=True))
    step = (planes.shape[1] - brightest) // (LEVELS - 1)  # (N C, 1)
    darker = histogram.cumsum(1) - histogram
    table = ((darker + step // 2) // step.clamp(min=1)).clamp(max=LEVELS - 1)
    table = torch.where(step > 0, table, torch.arange(LEVELS, device=images.device))
    return table.gather(1, planes).view_as(images).float() / (LEVELS - 1)
