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
            result[chosen] = adjust(result[chosen], factors.view(-1, 1, 1, 1))
    gray = torch.nonzero(parameters.gray).squeeze(1).to(images.device, non_blocking=True)
    result[gray] = grayscale(result[gray]).expand(-1, 3, -1, -1)
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
    value, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - low
    red, green, blue = images.unbind(1)
    span = torch.where(chroma == 0, torch.ones_like(chroma), chroma).squeeze(1)
    hue = torch.where(
        red == value.squeeze(1),
        (green - blue) / span,
        torch.where(green == value.squeeze(1), 2 + (blue - red) / span, 4 + (red - green) / span),
    ).unsqueeze(1)
    # Channel n of HSV to RGB is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 hue) mod 6.
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    place = torch.remainder(offsets + hue + 6 * turns, 6)
    return value - chroma * torch.minimum(place, 4 - place).clamp(0, 1)
