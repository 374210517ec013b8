"""Images in memory: uint8 pixels with labels, split into training and test."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Images:
    """Images of one split: ``pixels`` uint8 (N, C, H, W), ``labels`` int64 (N,)."""

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageDataset:
    """A training and a test split with the names of the classes that their labels count."""

    train: Images
    test: Images
    classes: tuple[str, ...]
