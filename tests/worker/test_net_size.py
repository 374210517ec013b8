"""The backend's formula for the size of a net, against the net that the worker builds."""

import pytest
import torch
from torch import nn

from backend.contracts.config import ExperimentConfig
from backend.services.net_size import NetSize, net_size
from worker.pipeline.build import untrained_model

HEADS = [
    {},
    {"kind": "linear", "output_dim": 32},
    {"kind": "none"},
    {"hidden_dim": 48, "output_dim": 7},
    {"hidden_layers": 3, "batch_norm": "all"},
    {"hidden_layers": 2, "batch_norm": "none"},
    {"kind": "linear", "batch_norm": "all"},
    {"kind": "linear", "batch_norm": "none"},
]
ENCODERS = [
    {"arch": arch, "width": width, "stem": stem}
    for arch, width in (("resnet18", 0.25), ("resnet34", 0.1), ("resnet50", 0.125), ("resnet101", 0.0625))
    for stem in ("cifar", "imagenet", "stride2")
]


def learned(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("encoder", "head"), [*((encoder, {}) for encoder in ENCODERS), *((ENCODERS[0], head) for head in HEADS)], ids=str
)
def test_the_formula_counts_what_the_net_has(encoder: dict, head: dict):
    config = ExperimentConfig.model_validate({"encoder": encoder, "head": head})
    model = untrained_model(config, torch.device("cpu")).eval()
    h = model.encoder(torch.zeros(1, 3, 32, 32))
    assert net_size(config) == NetSize(
        h_dim=h.shape[1],
        z_dim=model.head(h).shape[1],
        encoder_parameters=learned(model.encoder),
        head_parameters=learned(model.head),
    )


@pytest.mark.parametrize(
    ("arch", "parameters"),
    [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnet101", 44_549_160), ("resnet152", 60_192_808)],
)  # fmt: skip
def test_with_torchvisions_classifier_it_is_torchvisions_published_count(arch: str, parameters: int):
    size = net_size(ExperimentConfig.model_validate({"encoder": {"arch": arch, "stem": "imagenet"}}))
    assert size is not None
    assert size.encoder_parameters + 1000 * size.h_dim + 1000 == parameters


def test_the_size_of_a_net_of_timm_is_not_known():
    assert net_size(ExperimentConfig.model_validate({"encoder": {"arch": "timm:resnet26"}})) is None
