"""AutoAugment (Table 1): each image gets one of a policy's pairs of operations, batched by operation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from worker.simclr.augmentation.affine import (
    adjust_sharpness,
    rotate,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)
from worker.simclr.augmentation.color import adjust_brightness, adjust_contrast, adjust_saturation
from worker.simclr.augmentation.op import Op, happens, replace_some
from worker.simclr.augmentation.policies import POLICIES, Policy
from worker.simclr.augmentation.tone import autocontrast, equalize, invert, posterize, solarize

MAGNITUDES = 10

_ENHANCING = 0.9
"""How far from 1 the largest magnitude takes the factor of brightness, colour, contrast and sharpness."""


@dataclass(frozen=True)
class Kind:
    """An operation of a policy: what it does with the value (N,) of each image, and its values by magnitude.

    A ``signed`` one takes its value positive or negative, each as often.
    """

    transform: Callable[[Tensor, Tensor], Tensor]
    values: tuple[float, ...] = (0.0,) * MAGNITUDES
    signed: bool = False


def _signed(transform: Callable[[Tensor, Tensor], Tensor], largest: float) -> Kind:
    steps = MAGNITUDES - 1
    return Kind(transform, tuple(largest * magnitude / steps for magnitude in range(MAGNITUDES)), signed=True)


KINDS: dict[str, Kind] = {
    "ShearX": _signed(shear_x, 0.3),
    "ShearY": _signed(shear_y, 0.3),
    "TranslateX": _signed(translate_x, 150 / 331),
    "TranslateY": _signed(translate_y, 150 / 331),
    "Rotate": _signed(rotate, 30),
    "Brightness": _signed(lambda images, value: adjust_brightness(images, 1 + value), _ENHANCING),
    "Color": _signed(lambda images, value: adjust_saturation(images, 1 + value), _ENHANCING),
    "Contrast": _signed(lambda images, value: adjust_contrast(images, 1 + value), _ENHANCING),
    "Sharpness": _signed(lambda images, value: adjust_sharpness(images, 1 + value), _ENHANCING),
    "Posterize": Kind(posterize, tuple(8 - round(4 * magnitude / 9) for magnitude in range(MAGNITUDES))),
    "Solarize": Kind(solarize, tuple(1 - magnitude / 9 for magnitude in range(MAGNITUDES))),
    "AutoContrast": Kind(lambda images, _: autocontrast(images)),
    "Equalize": Kind(lambda images, _: equalize(images)),
    "Invert": Kind(lambda images, _: invert(images)),
}
_NUMBERS = {name: number for number, name in enumerate(KINDS)}


@dataclass(frozen=True)
class AutoAugment(Op):
    """A pair of operations drawn per image from the 25 of a policy, each applied with its own probability and value."""

    needs_rgb: ClassVar[bool] = True

    probability: float = 1.0
    policy: Policy = "imagenet"

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 4): number of the first operation in ``KINDS`` (-1: none) and its value, and those of the second."""
        pairs = POLICIES[self.policy]
        numbers = torch.tensor([[_NUMBERS[name] for name, _, _ in pair] for pair in pairs])
        values = torch.tensor([[KINDS[name].values[magnitude] for name, _, magnitude in pair] for pair in pairs])
        signed = torch.tensor([[KINDS[name].signed for name, _, _ in pair] for pair in pairs])
        probabilities = torch.tensor([[probability for _, probability, _ in pair] for pair in pairs])
        pair = torch.randint(len(pairs), (count,), generator=rng)
        applied = torch.rand(count, 2, generator=rng) < probabilities[pair]
        applied &= happens(self.probability, count, rng).unsqueeze(1)
        negative = signed[pair] & (torch.rand(count, 2, generator=rng) < 0.5)
        drawn = torch.where(negative, -values[pair], values[pair])
        return torch.stack([torch.where(applied, numbers[pair], -1).float(), drawn], dim=2).flatten(1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """The first operation of each image, then the second."""
        for numbers, values in (parameters[:, :2].unbind(1), parameters[:, 2:].unbind(1)):
            for number, kind in enumerate(KINDS.values()):
                images = replace_some(images, numbers == number, kind.transform, values)
        return images
