"""The images of each step, on the training device: kept there where they fit, else fetched ahead by a thread."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from worker.simclr.data.rows import Pixels, gather
from worker.simclr.training.batches import BatchOrder

AHEAD = 2
"""Batches that are fetched before they are asked for."""


class Feed:
    """Batches of uint8 images by step, a pure function of (seed, step).

    ``rows`` are the rows of every batch that this process wants. Where the pixels lie on another device than the
    training, or are more than memory holds (a memory-mapped pack), the next batches are gathered by a thread
    meanwhile, into pinned memory where the device is a GPU.
    """

    def __init__(self, pixels: Pixels, batch_size: int, seed: int, device: torch.device, rows: slice) -> None:
        self.rows = rows
        self._pixels, self._device = pixels, device
        self._order = BatchOrder(len(pixels), batch_size, seed)
        self._is_near = pixels.device == device
        self._pool = None if self._is_near else ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._fetched: dict[int, Future[Tensor]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def batch(self, step: int) -> Tensor:
        """The images of these rows of the step's batch: uint8 (n, C, H, W) on the device, without waiting for it."""
        if self._pool is None:
            return gather(self._pixels, self._index(step).to(self._device, non_blocking=True))
        for ahead in range(step, step + AHEAD + 1):
            if ahead not in self._fetched:
                self._fetched[ahead] = self._pool.submit(self._gather, self._index(ahead))
        return self._fetched.pop(step).result().to(self._device, non_blocking=True)

    def _index(self, step: int) -> Tensor:
        return self._order.batch(step)[self.rows]

    def _gather(self, index: Tensor) -> Tensor:
        found = torch.empty(
            (len(index), *self._pixels.shape[1:]), dtype=torch.uint8, pin_memory=self._device.type == "cuda"
        )
        return gather(self._pixels, index, found)
