"""The net that is pretrained: encoder f and projection head g, built from a seed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.simclr.nets.encoders import DEPTHS, Encoder, ResNet, Stem
from worker.simclr.nets.heads import HeadKind, HeadNorm, projection_head
from worker.simclr.nets.timm_encoders import PREFIX, UnfitEncoderError, timm_encoder
from worker.simclr.randomness import derive_seed


@dataclass(frozen=True)
class Architecture:
    """What fixes the shape of every parameter, and where they start.

    ``arch`` is one of our ResNets or 'timm:NAME', for which ``width``, ``stem`` and ``zero_init_residual`` have no
    meaning. ``image_size`` (the side, in pixels) matters to nets of timm with a fixed size.
    """

    arch: str = "resnet18"
    width: float = 1.0
    stem: Stem = "cifar"
    in_channels: int = 3
    image_size: int = 32
    zero_init_residual: bool = False
    head: HeadKind = "nonlinear"
    hidden_layers: int = 1
    hidden_dim: int | None = None
    output_dim: int = 128
    batch_norm: HeadNorm = "hidden"


def build_encoder(architecture: Architecture) -> Encoder:
    """The encoder f with weights from torch's global generator.

    Raises UnfitEncoderError (a ValueError that says what to do) where there is no such net, or it does not take these
    images.
    """
    arch = architecture.arch
    if arch.startswith(PREFIX):
        return timm_encoder(
            arch.removeprefix(PREFIX), in_channels=architecture.in_channels, image_size=architecture.image_size
        )
    if arch not in DEPTHS:
        raise UnfitEncoderError(f"'{arch}' is no encoder: choose {', '.join(DEPTHS)} or 'timm:NAME'")
    return ResNet(
        arch,
        architecture.width,
        architecture.stem,
        in_channels=architecture.in_channels,
        zero_init_residual=architecture.zero_init_residual,
    )


class SimCLR(nn.Module):
    """z = g(f(x))."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.encoder = build_encoder(architecture)
        self.head = projection_head(
            architecture.head,
            self.encoder.feature_dim,
            architecture.output_dim,
            hidden_layers=architecture.hidden_layers,
            hidden_dim=architecture.hidden_dim,
            batch_norm=architecture.batch_norm,
        )

    def forward(self, views: Tensor) -> Tensor:
        """Views (2N, C, S, S) to z (2N, D), in one pass: batch statistics are those of both views together."""
        return self.head(self.encoder(views))


def build_model(architecture: Architecture, seed: int, device: torch.device) -> SimCLR:
    """The untrained net of this seed: the same weights on every device, in channels-last layout (faster).

    Raises UnfitEncoderError as ``build_encoder`` does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, 0, "weights"))
        model = SimCLR(architecture)
    return model.to(device).to(memory_format=torch.channels_last)
