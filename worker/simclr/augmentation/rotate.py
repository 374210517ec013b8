"""Rotation by 90, 180 or 270 degrees (Figure 4), batched."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from worker.simclr.augmentation.crop import resize
from worker.simclr.augmentation.op import Op, happens, replace_some


@dataclass(frozen=True)
class Rotate(Op):
    """Rotation by 90, 180 or 270 degrees, each as often. At probability 3/4 every orientation is equally likely."""

    probability: float = 0.75

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """Quarter turns counter-clockwise (count, 1): 0, 1, 2 or 3."""
        turns = torch.randint(1, 4, (count,), generator=rng)
        return (turns * happens(self.probability, count, rng)).float().unsqueeze(1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Those rotated whose turns are not 0. Images that are not square are resized first."""
        if images.shape[-1] != images.shape[-2]:
            images = resize(images, size)
        for turns in (1, 2, 3):
            turned = partial(_turned, turns=turns)
            images = replace_some(images, parameters[:, 0] == turns, turned, parameters)
        return images

    def output_shape(self, height: int, width: int, size: int) -> tuple[int, int]:
        """Square."""
        return (height, width) if height == width else (size, size)


def _turned(images: Tensor, _: Tensor, *, turns: int) -> Tensor:
    return images.rot90(turns, (-2, -1))
