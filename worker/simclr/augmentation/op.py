"""What an augmentation is: parameters drawn per image on the CPU, applied to a batch as tensor code on its device."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor


class Op(ABC):
    """A transformation with a probability and parameters; subclasses are frozen dataclasses.

    Drawing and applying are apart, so that the parameters of a whole batch can be drawn and those of some of its
    images applied: several GPUs and micro-batches then see the very views of the whole batch.
    """

    needs_rgb: ClassVar[bool] = False
    """Whether it is defined for images of three channels only."""

    @abstractmethod
    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """Parameters of ``count`` images of height x width pixels: float32 (count, k) on the CPU."""

    @abstractmethod
    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """``images`` float (n, C, H, W) in [0, 1], transformed. May overwrite them.

        ``parameters`` (n, k) are on the CPU, so that images can be grouped by them without waiting for a GPU;
        ``size`` is the side of the finished views, in pixels.
        """

    def output_shape(self, height: int, width: int, size: int) -> tuple[int, int]:
        """Height and width of the result."""
        return height, width


class Switch(Op):
    """An operation of which nothing is drawn but whether it is applied, with ``probability``."""

    probability: float

    @abstractmethod
    def transform(self, images: Tensor) -> Tensor:
        """``images`` float (n, C, H, W), transformed."""

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """1 where it is applied, else 0 (count, 1)."""
        return happens(self.probability, count, rng).float().unsqueeze(1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Those transformed that are to be."""
        return replace_some(images, parameters[:, 0] > 0, lambda some, _: self.transform(some), parameters)


def happens(probability: float, count: int, rng: torch.Generator) -> Tensor:
    """Which of ``count`` images are chosen: bool (count,)."""
    return torch.rand(count, generator=rng) < probability


def uniform(low: float, high: float, count: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers float32 (count,)."""
    return low + (high - low) * torch.rand(count, generator=rng)


def send(parameters: Tensor, device: torch.device) -> Tensor:
    """``parameters`` on ``device``; a GPU is not waited for."""
    if device.type != "cuda":
        return parameters.to(device)
    return parameters.pin_memory().to(device, non_blocking=True)


def replace_some(
    images: Tensor, chosen: Tensor, transform: Callable[[Tensor, Tensor], Tensor], parameters: Tensor
) -> Tensor:
    """``images`` (n, C, H, W), in place, with the ``chosen``, bool (n,) on the CPU, replaced by their transforms.

    ``transform`` gets the chosen images and, on their device, their rows of the ``parameters`` (n, ...).
    """
    rows = chosen.nonzero().squeeze(1)
    if not len(rows):
        return images
    theirs = send(parameters[rows], images.device)
    if len(rows) == len(images):
        return transform(images, theirs)
    place = send(rows, images.device)
    return images.index_copy_(0, place, transform(images.index_select(0, place), theirs))
