"""Sobel filtering (Figure 4), batched."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Switch


@dataclass(frozen=True)
class Sobel(Switch):
    """The image replaced by the strength of its edges, channel by channel."""

    probability: float = 0.5

    def transform(self, images: Tensor) -> Tensor:
        """The strength of the edges."""
        return sobel(images)


def sobel(images: Tensor) -> Tensor:
    """Length of the Sobel gradient of each channel of ``images`` (N, C, H, W), cut off at 1; edges are reflected.

    The derivatives are those of ``scipy.ndimage.sobel`` with mode "mirror": differences of neighbours two apart,
    smoothed across by 1, 2, 1.
    """
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="reflect")
    down = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return torch.hypot(down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :]).clamp_(max=1)
