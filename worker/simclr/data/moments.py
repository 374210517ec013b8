"""Mean and standard deviation of each channel over many images, exact and without keeping them."""

import math

import numpy as np
import numpy.typing as npt


class ChannelMoments:
    """Sums over the uint8 values of each channel, in whole numbers, so that no order of images changes the result."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sums = [0] * channels
        self._squares = [0] * channels

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Take in an image, uint8 (C, H, W)."""
        values = pixels.reshape(len(pixels), -1).astype(np.float64)  # exact up to 2^53
        self._count += values.shape[1]
        # einsum, because a dot product would wake the threads of the linear algebra library for each image
        for channel, square in enumerate(np.einsum("cn,cn->c", values, values)):
            self._sums[channel] += int(values[channel].sum())
            self._squares[channel] += int(square)

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel, of values scaled to 0..1. Empty before the first image."""
        return tuple(total / self._count / 255 for total in self._sums) if self._count else ()

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over all pixels (divided by n), of values scaled to 0..1."""
        if not self._count:
            return ()
        return tuple(
            math.sqrt(self._count * square - total * total) / self._count / 255
            for total, square in zip(self._sums, self._squares, strict=True)
        )
