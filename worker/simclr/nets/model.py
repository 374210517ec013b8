"""The net that is pretrained: encoder f and projection head g, built from a seed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.simclr.nets.encoders import Arch, ResNet, Stem
from worker.simclr.nets.heads import HeadKind, projection_head
from worker.simclr.randomness import derive_seed


@dataclass(frozen=True)
class Architecture:
    """What fixes the shape of every parameter."""

    arch: Arch = "resnet18"
    width: float = 1.0
    stem: Stem = "cifar"
    head: HeadKind = "nonlinear"
    hidden_dim: int | None = None
    output_dim: int = 128


class SimCLR(nn.Module):
    """z = g(f(x))."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.encoder = ResNet(architecture.arch, architecture.width, architecture.stem)
        self.head = projection_head(
            architecture.head, self.encoder.feature_dim, architecture.hidden_dim, architecture.output_dim
        )

    def forward(self, views: Tensor) -> Tensor:
        """Views (2N, 3, S, S) to z (2N, D), in one pass: batch statistics are those of both views together."""
        return self.head(self.encoder(views))


def build_model(architecture: Architecture, seed: int, device: torch.device) -> SimCLR:
    """The untrained net of this seed: the same weights on every device, in channels-last layout (faster)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, 0, "weights"))
        model = SimCLR(architecture)
    return model.to(device).to(memory_format=torch.channels_last)
