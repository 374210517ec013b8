"""Colour distortion (appendix A): brightness, contrast, saturation and hue jitter, and grey-scale drop, batched.

The operations are torchvision's, with a factor per image; pixels are float in [0, 1].
"""

import itertools
from dataclasses import dataclass

import torch

_GRAY = (0.2989, 0.587, 0.114)
_ORDERS = torch.tensor(list(itertools.permutations(range(4))))


@dataclass(frozen=True)
class Color:
    """Colour distortion of strength s: jitter (0.8s, 0.8s, 0.8s, 0.2s), then grey-scale drop."""

    strength: float = 0.5
    jitter_probability: float = 0.8
    grayscale_probability: float = 0.2


@dataclass(frozen=True)
class ColorParameters:
    """What was drawn for a batch of N images.

    ``factors`` float (N, 4): brightness, contrast, saturation (1 changes nothing), hue (0 changes nothing; in turns).
    ``order`` int64 (N, 4): which of the four comes first, second, ... ``jittered`` and ``gray`` bool (N,).
    """

    factors: torch.Tensor
    order: torch.Tensor
    jittered: torch.Tensor
    gray: torch.Tensor


def draw_color(op: Color, count: int, rng: torch.Generator) -> ColorParameters:
    """Draw parameters for ``count`` images. The order of the four is shuffled per image, as in the authors' code."""
    reach = 0.8 * op.strength
    low = torch.tensor([max(0.0, 1 - reach)] * 3 + [-min(0.5, 0.2 * op.strength)])
    high = torch.tensor([1 + reach] * 3 + [min(0.5, 0.2 * op.strength)])
    return ColorParameters(
        factors=low + (high - low) * torch.rand(count, 4, generator=rng),
        order=_ORDERS[torch.randint(len(_ORDERS), (count,), generator=rng)],
        jittered=torch.rand(count, generator=rng) < op.jitter_probability,
        gray=torch.rand(count, generator=rng) < op.grayscale_probability,
    )


def distort_color(images: torch.Tensor, parameters: ColorParameters) -> torch.Tensor:
    """Apply the drawn jitter and grey-scale drop to ``images`` float (N, 3, H, W) in [0, 1]."""
    result = images.clone()
    adjustments = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    for position, (kind, adjust) in itertools.product(range(4), enumerate(adjustments)):
        # The indices are found on the CPU, where the parameters were drawn: a GPU need not wait.
        chosen = torch.nonzero(parameters.jittered & (parameters.order[:, position] == kind)).squeeze(1)
        if len(chosen):
            factors = parameters.factors[chosen, kind].to(images.device, non_blocking=True)
            chosen = chosen.to(images.device, non_blocking=True)
            result[chosen] = adjust(result.index_select(0, chosen), factors.view(-1, 1, 1, 1))
    gray = torch.nonzero(parameters.gray).squeeze(1).to(images.device, non_blocking=True)
    result[gray] = grayscale(result.index_select(0, gray)).expand(-1, 3, -1, -1)
    return result


def grayscale(images: torch.Tensor) -> torch.Tensor:
    """Luma (N, 1, H, W) of ``images`` (N, 3, H, W)."""
    red, green, blue = images.unbind(1)
    return (_GRAY[0] * red + _GRAY[1] * green + _GRAY[2] * blue).unsqueeze(1)


def adjust_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with black; ``factor`` (N, 1, 1, 1)."""
    return (images * factor).clamp(0, 1)


def adjust_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with each image's mean luma; ``factor`` (N, 1, 1, 1)."""
    mean = grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, factor).clamp(0, 1)


def adjust_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the grey-scale image; ``factor`` (N, 1, 1, 1)."""
    return torch.lerp(grayscale(images), images, factor).clamp(0, 1)


def adjust_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue in HSV space by ``turns`` (N, 1, 1, 1), in full turns of the colour wheel."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    per_chroma = torch.where(chroma == 0, chroma, 1 / chroma)
    if_green, if_blue = ((blue - red) * per_chroma).add_(2), ((red - green) * per_chroma).add_(4)
    hue = torch.where(red == value, (green - blue) * per_chroma, torch.where(green == value, if_green, if_blue)).add_(
        6 * turns.squeeze(1)
    )
    channels: list[torch.Tensor] = []
    for offset in (5, 3, 1):
        # Channel n of HSV to RGB is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 hue) mod 6.
        place = hue + offset
        place -= torch.floor(place / 6).mul_(6)
        channels.append(value - torch.minimum(place, 4 - place).clamp_(0, 1).mul_(chroma))
    return torch.stack(channels, dim=1)
