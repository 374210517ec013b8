"""Sizes of ResNet encoders and heads by formula, for the estimate: the backend loads no torch.

The nets themselves are built in ``worker/simclr/nets``; ``tests/worker/test_net_size.py`` compares both.
"""

from dataclasses import dataclass
from itertools import pairwise

from backend.contracts.config import ExperimentConfig, HeadConfig

_BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
_BOTTLENECKS = frozenset({"resnet50", "resnet101", "resnet152"})
_STEM_KERNEL = {"cifar": 3, "imagenet": 7, "stride2": 3}


@dataclass(frozen=True)
class NetSize:
    """Dimensions of h and z, and numbers of learned parameters."""

    h_dim: int
    z_dim: int
    encoder_parameters: int
    head_parameters: int


def net_size(config: ExperimentConfig, channels: int = 3) -> NetSize | None:
    """The size of a config's net for images of so many channels; None for a net of timm."""
    arch = config.encoder.arch
    if arch not in _BLOCKS:
        return None
    base = max(1, round(64 * config.encoder.width))
    is_bottleneck = arch in _BOTTLENECKS
    parameters = _conv(channels, base, _STEM_KERNEL[config.encoder_stem])
    width = base
    for stage, blocks in enumerate(_BLOCKS[arch]):
        inner = base * 2**stage
        outer = 4 * inner if is_bottleneck else inner
        for block in range(blocks):
            parameters += _block(width, inner, outer, is_bottleneck=is_bottleneck)
            if block == 0 and (stage > 0 or width != outer):
                parameters += _conv(width, outer, 1)
            width = outer
    return NetSize(width, config.head.z_dim or width, parameters, _head(config.head, width))


def _block(width: int, inner: int, outer: int, *, is_bottleneck: bool) -> int:
    if is_bottleneck:
        return _conv(width, inner, 1) + _conv(inner, inner, 3) + _conv(inner, outer, 1)
    return _conv(width, inner, 3) + _conv(inner, outer, 3)


def _conv(inputs: int, outputs: int, kernel: int) -> int:
    """A convolution without bias and its batch norm's scale and shift."""
    return inputs * outputs * kernel**2 + 2 * outputs


def _head(head: HeadConfig, h_dim: int) -> int:
    if head.z_dim is None:
        return 0
    hidden = [head.hidden_dim or h_dim] * head.hidden_layers if head.kind == "nonlinear" else []
    dims = [h_dim, *hidden, head.z_dim]
    parameters = sum(inputs * outputs for inputs, outputs in pairwise(dims))
    match head.batch_norm:
        case "hidden":
            return parameters + 2 * sum(hidden)
        case "all":
            return parameters + 2 * sum(hidden) + head.z_dim  # the last one is scaled, not shifted
        case "none":
            return parameters + sum(dims[1:])
