"""Images as uint8 pixels: a training and a test split with labels, and images without labels."""

from dataclasses import dataclass

import torch

from worker.simclr.data.rows import Pixels


@dataclass(frozen=True)
class Images:
    """Images of one split: ``pixels`` uint8 (N, C, H, W), ``labels`` int64 (N,)."""

    pixels: Pixels
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageDataset:
    """A training and a test split with the names of the classes that their labels count.

    ``unlabelled``: uint8 (N, C, H, W), images for pretraining only; None where there are none.
    """

    train: Images
    test: Images
    classes: tuple[str, ...]
    unlabelled: torch.Tensor | None = None

    @property
    def has_labels(self) -> bool:
        """Whether there is a labelled image to train on; a dataset may hold images without labels only."""
        return len(self.train) > 0
