"""Gaussian blur (appendix A), batched, with a standard deviation per image. Equal to torchvision's gaussian_blur."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Blur:
    """Gaussian blur with sigma drawn per image, in pixels."""

    probability: float = 0.5
    min_sigma: float = 0.1
    max_sigma: float = 2.0


def kernel_size(image_size: int) -> int:
    """About 10% of the image's side, odd and at least 3."""
    return max(3, image_size // 10 | 1)


def draw_sigmas(op: Blur, count: int, rng: torch.Generator) -> torch.Tensor:
    """Standard deviations float (count,); 0 where an image is not blurred."""
    sigmas = op.min_sigma + (op.max_sigma - op.min_sigma) * torch.rand(count, generator=rng)
    return torch.where(torch.rand(count, generator=rng) < op.probability, sigmas, torch.zeros(()))


def gaussian_blur(images: torch.Tensor, sigmas: torch.Tensor, taps: int) -> torch.Tensor:
    """Blur ``images`` (N, C, H, W) with ``sigmas`` (N,) and a kernel of ``taps`` pixels; edges are reflected."""
    half = taps // 2
    offsets = torch.arange(-half, half + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3).unsqueeze(1)) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).to(images.device, non_blocking=True)
    padded = torch.nn.functional.pad(images, (half, half, half, half), mode="reflect")
    height, width = images.shape[-2:]
    rows = torch.zeros_like(padded[..., :width])
    for tap in range(taps):
        rows += weights[:, tap].view(-1, 1, 1, 1) * padded[..., tap : tap + width]
    blurred = torch.zeros_like(images)
    for tap in range(taps):
        blurred += weights[:, tap].view(-1, 1, 1, 1) * rows[..., tap : tap + height, :]
    return blurred
