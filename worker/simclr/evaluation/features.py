"""Representations h of whole image sets by a frozen encoder, and the proof that it was frozen."""

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from worker.simclr.augmentation.views import resized
from worker.simclr.data.rows import Pixels
from worker.simclr.evaluation.steps import Steps
from worker.simclr.precision import Precision, autocast

FEATURE_BATCH = 512


@contextmanager
def frozen(module: nn.Module) -> Generator[None]:
    """In eval mode: batch normalisation uses its running statistics and does not change them. The mode is put back."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def encode(
    encoder: nn.Module, pixels: Pixels, views: Callable[[Tensor, int], Tensor], precision: Precision
) -> Steps[Tensor]:
    """Representations h float32, on the encoder's device, of ``views(part, start)`` of parts of uint8 pixels, in order.

    The encoder is frozen meanwhile. The forward pass uses the precision of the training (half the time, features
    rounded to 8 bits). Yields the share done after every batch; closing the generator stops it between two batches.
    """
    device = next(encoder.parameters()).device
    parts: list[Tensor] = []
    with frozen(encoder):
        for start in range(0, len(pixels), FEATURE_BATCH):
            images = views(pixels[start : start + FEATURE_BATCH].to(device, non_blocking=True), start)
            with torch.no_grad(), autocast(precision, device):
                parts.append(encoder(images.contiguous(memory_format=torch.channels_last)).float())
            yield min(1.0, (start + FEATURE_BATCH) / len(pixels))
    return torch.cat(parts)


def extract_features(encoder: nn.Module, pixels: Pixels, *, image_size: int, precision: Precision) -> Steps[Tensor]:
    """Representations h (n, D) of every image of uint8 pixels (n, C, H, W), not augmented; see ``encode``."""
    return encode(encoder, pixels, lambda part, _: resized(part, image_size), precision)


def project(head: nn.Module, h: Tensor) -> Tensor:
    """z = g(h), float32 (n, D'), of representations (n, D), with the head frozen."""
    with frozen(head), torch.no_grad():
        return torch.cat([head(part).float() for part in h.split(FEATURE_BATCH)])


def state_sha256(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
