"""Which images are in the batch of a step: a pure function of (seed, step), so that a resumed run sees the same ones."""

import torch
from torch import Tensor

from worker.simclr.randomness import generator


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch. The last, incomplete one is dropped: it would have fewer negatives."""
    return images // batch_size


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a permutation (images,), int64."""
    return torch.randperm(images, generator=generator(seed, epoch, "order"))


def train_subset(images: int, size: int, seed: int) -> Tensor:
    """The images of a subset in ascending order: (size,), int64. Smaller subsets are part of larger ones."""
    return torch.randperm(images, generator=generator(seed, 0, "subset"))[:size].sort().values


class BatchOrder:
    """Batches by step; keeps the permutation of the current epoch."""

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.steps_per_epoch = steps_per_epoch(images, batch_size)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def batch(self, step: int) -> Tensor:
        """Indices (batch_size,) of the images of the step with this number (from 0)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self.images, self.seed, epoch)
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]
