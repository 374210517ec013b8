"""Colour distortion (appendix A): brightness, contrast, saturation and hue jitter, and grey-scale drop, batched.

The operations are torchvision's, with factors per image; pixels are float in [0, 1].
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Op, Switch, happens, send

_LUMA = (0.2989, 0.587, 0.114)
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
ORDERS = torch.tensor(list(itertools.permutations(range(4))))
"""(24, 4): the orders of brightness, contrast, saturation and hue."""


@dataclass(frozen=True)
class Jitter(Op):
    """Colour jitter of strength s: brightness, contrast and saturation by up to 0.8s, hue by up to 0.2s turns.

    A reach that is given takes the place of the one that follows from the strength. The order of the four is shuffled
    per image, as in the authors' code.
    """

    needs_rgb: ClassVar[bool] = True

    probability: float = 0.8
    strength: float = 0.5
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None

    @property
    def reaches(self) -> tuple[float, float, float, float]:
        """How far brightness, contrast, saturation (from 1) and hue (from 0, in turns) go."""
        given = (self.brightness, self.contrast, self.saturation, self.hue)
        paper = (0.8 * self.strength, 0.8 * self.strength, 0.8 * self.strength, min(0.5, 0.2 * self.strength))
        brightness, contrast, saturation, hue = (
            by_strength if reach is None else reach for reach, by_strength in zip(given, paper, strict=True)
        )
        return brightness, contrast, saturation, hue

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 6): the factors of brightness, contrast and saturation, the hue's turns, the order, whether at all."""
        reach = torch.tensor(self.reaches)
        middle = torch.tensor([1.0, 1.0, 1.0, 0.0])
        low, high = middle - reach, middle + reach
        low[:_HUE].clamp_(min=0)
        factors = low + (high - low) * torch.rand(count, 4, generator=rng)
        order = torch.randint(len(ORDERS), (count, 1), generator=rng).float()
        return torch.cat([factors, order, happens(self.probability, count, rng).float().unsqueeze(1)], dim=1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Those jittered that are to be."""
        return jitter(images, parameters[:, :4], parameters[:, 4].long(), parameters[:, 5] > 0)


@dataclass(frozen=True)
class Grayscale(Switch):
    """Colour drop: luma in every channel of a colour image, the mean of the channels where they are not three."""

    probability: float = 0.2

    def transform(self, images: Tensor) -> Tensor:
        """Grey in every channel."""
        return grayscale(images).expand_as(images).contiguous()


@dataclass(frozen=True)
class Color(Op):
    """Colour distortion of strength s: jitter (0.8s, 0.8s, 0.8s, 0.2s), then grey-scale drop."""

    needs_rgb: ClassVar[bool] = True

    strength: float = 0.5
    jitter_probability: float = 0.8
    grayscale_probability: float = 0.2

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 7): those of the jitter, then that of the grey-scale drop."""
        jitter_op = Jitter(self.jitter_probability, self.strength)
        gray_op = Grayscale(self.grayscale_probability)
        return torch.cat([op.draw(count, height, width, rng) for op in (jitter_op, gray_op)], dim=1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Jittered, then turned to grey."""
        return Grayscale().apply(Jitter().apply(images, parameters[:, :6], size), parameters[:, 6:], size)


def jitter(images: Tensor, factors: Tensor, order: Tensor, chosen: Tensor) -> Tensor:
    """``images`` float (N, 3, H, W), those jittered that are ``chosen``, bool (N,).

    ``factors`` (N, 4) of brightness, contrast, saturation and hue are applied in the order ``ORDERS[order]``, order
    int64 (N,); all three are on the CPU. Images are sorted by the turn at which their hue is changed: it costs four
    times what the others do, which are one formula and so are done for all images at once.
    """
    kinds = ORDERS[order]  # (N, 4)
    hue_turn = torch.where(chosen, torch.argmax((kinds == _HUE).int(), dim=1), 4)
    rows = torch.argsort(hue_turn, stable=True)
    ends = torch.bincount(hue_turn, minlength=5).cumsum(0).tolist()
    if not ends[3]:
        return images
    kinds, factors = kinds[rows], factors[rows]
    own = torch.where(kinds == _HUE, 1.0, factors.gather(1, kinds))
    blends = torch.stack([own, (1 - own) * (kinds == _SATURATION), (1 - own) * (kinds == _CONTRAST)], dim=2)
    weights = send(torch.cat([blends.flatten(1), factors[:, _HUE:]], dim=1), images.device)
    places = send(torch.stack([rows, torch.argsort(rows)]), images.device)
    in_order = images.index_select(0, places[0])
    jittered, weights = in_order[: ends[3]], weights[: ends[3]]
    for turn in range(4):
        blend(jittered, *weights[:, 3 * turn : 3 * turn + 3].unbind(1), out=jittered)
        theirs = slice(ends[turn - 1] if turn else 0, ends[turn])
        adjust_hue(jittered[theirs], weights[theirs, 12], out=jittered[theirs])
    return in_order.index_select(0, places[1])


def luma(images: Tensor) -> Tensor:
    """Luma (N, 1, H, W) of ``images`` (N, 3, H, W)."""
    red, green, blue = images.unbind(1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2]).unsqueeze(1)


def grayscale(images: Tensor) -> Tensor:
    """One channel (N, 1, H, W) for all of ``images`` (N, C, H, W): luma of three, else the mean."""
    return luma(images) if images.shape[1] == 3 else images.mean(1, keepdim=True)


def blend(images: Tensor, own: Tensor, gray: Tensor, mean: Tensor, out: Tensor | None = None) -> Tensor:
    """own * image + gray * luma + mean * mean luma, cut off at 0 and 1; the weights are (N,).

    Brightness, contrast and saturation are all such blends. ``out`` may be ``images``.
    """
    grays = luma(images)
    means = grays.mean(dim=(2, 3), keepdim=True)
    grays.mul_(gray.view(-1, 1, 1, 1)).add_(means.mul_(mean.view(-1, 1, 1, 1)))
    return torch.addcmul(grays, images, own.view(-1, 1, 1, 1), out=out).clamp_(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; ``factor`` (N,)."""
    return blend(images, factor, torch.zeros_like(factor), torch.zeros_like(factor))


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with each image's mean luma; ``factor`` (N,)."""
    return blend(images, factor, torch.zeros_like(factor), 1 - factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey-scale image; ``factor`` (N,)."""
    return blend(images, factor, 1 - factor, torch.zeros_like(factor))


def adjust_hue(images: Tensor, turns: Tensor, out: Tensor | None = None) -> Tensor:
    """Turn the hue in HSV space by ``turns`` (N,), in full turns of the colour wheel. ``out`` may be ``images``.

    With colours stretched to a minimum of 0 and a maximum of 1, hue is 1 - red + green + blue sixths of a turn away
    from red, towards green or blue, whichever is larger: the usual three cases in one formula.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    hue = (green + blue).sub_(red).sub_(least).div_(chroma.clamp_min(1e-12)).add_(1)
    hue = hue.copysign_(green - blue).add_(6 * turns.view(-1, 1, 1))
    hue.sub_(hue.div(6).floor_().mul_(6))  # in [0, 6)
    result = torch.empty_like(images) if out is None else out
    torch.addcmul(least, chroma, (hue - 3).abs_().sub_(1).clamp_(0, 1), out=result[:, 0])
    torch.addcmul(value, chroma, (hue - 2).abs_().sub_(1).clamp_(0, 1), value=-1, out=result[:, 1])
    torch.addcmul(value, chroma, (hue - 4).abs_().sub_(1).clamp_(0, 1), value=-1, out=result[:, 2])
    return result
