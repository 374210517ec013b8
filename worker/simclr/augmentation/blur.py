"""Gaussian blur (appendix A) and motion blur (appendix B.2), batched, with a kernel per image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Op, happens, replace_some, uniform


@dataclass(frozen=True)
class Blur(Op):
    """Gaussian blur with sigma drawn per image, in pixels; the kernel is about 10% of the view's side."""

    probability: float = 0.5
    min_sigma: float = 0.1
    max_sigma: float = 2.0

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """Standard deviation (count, 1); 0 where an image is not blurred."""
        sigmas = uniform(self.min_sigma, self.max_sigma, count, rng)
        return (sigmas * happens(self.probability, count, rng)).unsqueeze(1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Those blurred whose sigma is not 0."""
        taps = kernel_size(size)
        sigmas = parameters[:, 0]
        return replace_some(images, sigmas > 0, lambda some, theirs: gaussian_blur(some, theirs, taps), sigmas)


@dataclass(frozen=True)
class MotionBlur(Op):
    """Blur along a straight line whose length, a share of the image's shorter side, and angle are drawn per image."""

    probability: float = 0.5
    min_length: float = 0.05
    max_length: float = 0.1

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 2): length in pixels, 0 where an image is not blurred, and angle in radians, from 0 to pi."""
        lengths = uniform(self.min_length, self.max_length, count, rng) * min(height, width)
        angles = uniform(0, math.pi, count, rng)
        return torch.stack([lengths * happens(self.probability, count, rng), angles], dim=1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Those blurred whose length is not 0."""
        taps = line_taps(self.max_length * min(images.shape[-2:]))
        return replace_some(
            images,
            parameters[:, 0] > 0,
            lambda some, line: motion_blur(some, line[:, 0], line[:, 1], taps),
            parameters,
        )


def kernel_size(image_size: int) -> int:
    """About 10% of the image's side, odd and at least 3."""
    return max(3, image_size // 10 | 1)


def line_taps(length: float) -> int:
    """Side of a kernel, in pixels, that holds a line of ``length`` pixels at any angle: odd."""
    return 2 * (math.floor(length / 2) + 1) + 1


def gaussian_blur(images: Tensor, sigmas: Tensor, taps: int) -> Tensor:
    """Blur ``images`` (N, C, H, W) with ``sigmas`` (N,) > 0 and a kernel of ``taps`` pixels; edges are reflected."""
    offsets = _offsets(taps, images.device)
    weights = torch.exp(-0.5 * (offsets / sigmas.unsqueeze(1)) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    return _filtered(_filtered(images, weights.unsqueeze(1)), weights.unsqueeze(2))


def motion_blur(images: Tensor, lengths: Tensor, angles: Tensor, taps: int) -> Tensor:
    """Blur ``images`` (N, C, H, W) along lines of ``lengths`` (N,) in pixels at ``angles`` (N,), counter-clockwise.

    A kernel pixel weighs 1 minus its distance from the line, at least 0; the weights sum to 1 and edges are reflected.
    """
    offsets = _offsets(taps, images.device)
    x, y = offsets.view(1, 1, -1), -offsets.view(1, -1, 1)
    cosine, sine = torch.cos(angles).view(-1, 1, 1), torch.sin(angles).view(-1, 1, 1)
    half = (lengths / 2).view(-1, 1, 1)
    along = torch.maximum(torch.minimum(x * cosine + y * sine, half), -half)
    weights = (1 - torch.hypot(x - along * cosine, y - along * sine)).clamp(min=0)
    return _filtered(images, weights / weights.sum(dim=(1, 2), keepdim=True))


def _offsets(taps: int, device: torch.device) -> Tensor:
    return torch.arange(taps, device=device, dtype=torch.float32) - taps // 2


def _filtered(images: Tensor, kernels: Tensor) -> Tensor:
    """Every channel of image i of ``images`` (N, C, H, W) filtered by ``kernels[i]`` (N, rows, columns), both odd."""
    count, channels, height, width = images.shape
    rows, columns = kernels.shape[1:]
    padding = (columns // 2, columns // 2, rows // 2, rows // 2)
    padded = torch.nn.functional.pad(images, padding, mode="reflect").flatten(0, 1).unsqueeze(0)
    each = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
    filtered = torch.nn.functional.conv2d(padded, each, groups=count * channels)
    return filtered.view(count, channels, height, width)
