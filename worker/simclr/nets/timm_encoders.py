"""Encoders of the timm library, which is optional: ``timm:NAME`` is a net with that architecture and random weights."""

from difflib import get_close_matches
from typing import Any, cast

import torch
from torch import nn

from worker.simclr.nets.encoders import Encoder

PREFIX = "timm:"


class UnfitEncoderError(ValueError):
    """The net is not there, or cannot be the encoder of these images; the message says what to do."""


def timm_encoder(name: str, *, in_channels: int, image_size: int) -> Encoder:
    """The net ``name`` of timm without its classifier: h is what it would give the classifier, pooled (B, feature_dim).

    Nothing is downloaded. Dropout and stochastic depth are switched off: SimCLR has its noise from the augmentation, and
    every random number of a run follows from (seed, step), which theirs would not. Parameters keep timm's names.

    Raises UnfitEncoderError where timm is not installed or does not know the name, and where the net does not take
    images of ``image_size`` pixels and ``in_channels`` channels.
    """
    timm = _timm()
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=3)
        raise UnfitEncoderError(
            f"timm knows no net '{name}'" + (f": do you mean {' or '.join(close)}?" if close else ".")
        )
    # Only nets with a fixed size, such as vision transformers, can be told one.
    size = {"img_size": image_size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    try:
        net = cast("nn.Module", timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_channels, **size))
        feature_dim = _feature_dim(net, in_channels, image_size)
    except Exception as error:  # each of timm's nets fails in its own way
        raise UnfitEncoderError(
            f"'{name}' of timm does not take {in_channels} x {image_size} x {image_size} pixels ({error}). "
            "Choose another image size or another net."
        ) from error
    _switch_off_random_layers(net)
    encoder = cast("Encoder", net)
    encoder.in_channels, encoder.feature_dim = in_channels, feature_dim
    return encoder


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UnfitEncoderError(
            "timm is not installed: install the package timm (the extra 'timm'), or choose a ResNet."
        ) from error
    return timm


def _feature_dim(net: nn.Module, in_channels: int, image_size: int) -> int:
    """Width of what the net gives for an image; timm's own ``num_features`` is another number for some nets."""
    net.eval()
    with torch.no_grad():
        h = net(torch.zeros(1, in_channels, image_size, image_size))
    net.train()
    if not isinstance(h, torch.Tensor) or h.ndim != 2:
        raise ValueError("it gives no single vector for an image")
    return h.shape[1]


def _switch_off_random_layers(net: nn.Module) -> None:
    """Set every dropout and stochastic depth (timm's DropPath and the like) to probability 0."""
    for module in net.modules():
        for probability in ("p", "drop_prob"):
            if isinstance(getattr(module, probability, None), float) and "drop" in type(module).__name__.lower():
                setattr(module, probability, 0.0)
