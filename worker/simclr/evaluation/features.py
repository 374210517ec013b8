"""Representations h of whole image sets by a frozen encoder, and the proof that it was frozen."""

import hashlib
from collections.abc import Generator

import torch
from torch import Tensor, nn

from worker.simclr.augmentation.views import resized
from worker.simclr.data.rows import Pixels
from worker.simclr.precision import Precision, autocast

FEATURE_BATCH = 512


def extract_features(
    encoder: nn.Module, pixels: Pixels, *, image_size: int, precision: Precision
) -> Generator[float, None, Tensor]:
    """Representations h (n, D), float32 on the encoder's device, of every image of uint8 pixels (n, C, H, W).

    The encoder is in eval mode meanwhile: batch normalisation uses its running statistics and does not change them.
    The forward pass uses the precision of the training (half the time, features rounded to 8 bits). Yields the share
    done after every batch; closing the generator stops it between two batches and puts the mode back.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    parts: list[Tensor] = []
    try:
        for start in range(0, len(pixels), FEATURE_BATCH):
            images = resized(pixels[start : start + FEATURE_BATCH].to(device), image_size)
            with torch.no_grad(), autocast(precision, device):
                parts.append(encoder(images.contiguous(memory_format=torch.channels_last)).float())
            yield min(1.0, (start + FEATURE_BATCH) / len(pixels))
    finally:
        encoder.train(was_training)
    return torch.cat(parts)


def state_sha256(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
