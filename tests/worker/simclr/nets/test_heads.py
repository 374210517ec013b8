"""The projection heads, layer by layer, and against the authors' code."""

import pytest
import torch
from torch import nn

from worker.simclr.nets.heads import projection_head
from worker.simclr.nets.model import Architecture, SimCLR


def h(rows=8, dim=64):
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(0))


def shapes(head):
    return [(layer.in_features, layer.out_features) for layer in head.modules() if isinstance(layer, nn.Linear)]


def kinds(head):
    return [type(layer).__name__ for layer in head]


def test_the_head_has_two_layers_as_in_the_paper():
    head = projection_head("nonlinear", 64, 16)
    assert kinds(head) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]  # nothing after the last layer
    assert shapes(head) == [(64, 64), (64, 16)]
    assert all(layer.bias is None for layer in head if isinstance(layer, nn.Linear))


@pytest.mark.parametrize(
    ("hidden_layers", "expected"),
    [(1, [(64, 32), (32, 16)]), (2, [(64, 32), (32, 32), (32, 16)]), (3, [(64, 32), (32, 32), (32, 32), (32, 16)])],
)
def test_hidden_layers_and_their_width_are_chosen(hidden_layers, expected):
    head = projection_head("nonlinear", 64, 16, hidden_layers=hidden_layers, hidden_dim=32)
    assert shapes(head) == expected
    assert kinds(head).count("ReLU") == kinds(head).count("BatchNorm1d") == hidden_layers


@pytest.mark.parametrize("dim", [32, 2048])
@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_z_has_the_dimension_that_was_asked_for(kind, dim):
    assert projection_head(kind, 64, dim)(h()).shape == (8, dim)


def test_the_linear_head_is_one_matrix_and_none_is_h():
    linear = projection_head("linear", 64, 16)
    torch.testing.assert_close(linear(h()), h() @ linear[0].weight.T)
    assert torch.equal(projection_head("none", 64, 16)(h()), h())


def test_a_non_linear_head_needs_a_hidden_layer():
    with pytest.raises(ValueError, match="not 0"):
        projection_head("nonlinear", 64, 16, hidden_layers=0)


def test_without_batch_norm_every_layer_has_a_bias():
    head = projection_head("nonlinear", 64, 16, hidden_layers=2, batch_norm="none")
    assert kinds(head) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert all(layer.bias is not None for layer in head if isinstance(layer, nn.Linear))


def authors_head(head, x, eps=1e-5):
    """model_util.projection_head of google-research/simclr on a batch, in float64: each layer is a matrix without bias
    and batch norm, shifted and with a ReLU but for the last, which is only scaled."""
    x = x.double()
    layers = [layer for layer in head if isinstance(layer, nn.Linear)]
    norms = [layer for layer in head if isinstance(layer, nn.BatchNorm1d)]
    for index, (layer, norm) in enumerate(zip(layers, norms, strict=True)):
        x = x @ layer.weight.double().T
        x = (x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt() * norm.weight.double()
        if index < len(layers) - 1:
            x = (x + norm.bias.double()).clamp(min=0)
    return x


@pytest.mark.parametrize(("kind", "hidden_layers"), [("linear", 1), ("nonlinear", 1), ("nonlinear", 2)])
def test_with_batch_norm_everywhere_z_is_that_of_the_authors_code(kind, hidden_layers):
    head = projection_head(kind, 64, 16, hidden_layers=hidden_layers, batch_norm="all")
    for parameter in head.parameters():
        if parameter.ndim == 1 and parameter.requires_grad:
            nn.init.normal_(parameter, 1.0, 0.5)
    torch.testing.assert_close(head(h()).double(), authors_head(head, h()), rtol=1e-4, atol=1e-5)


def test_the_last_batch_norm_of_the_authors_head_is_never_shifted():
    head = projection_head("nonlinear", 64, 16, batch_norm="all")
    assert not head[-1].bias.requires_grad
    assert head[-1].bias.abs().sum() == 0
    assert head[1].bias.requires_grad


def test_the_architecture_decides_the_head():
    model = SimCLR(
        Architecture(width=0.0625, hidden_layers=2, hidden_dim=24, output_dim=8, batch_norm="all", image_size=16)
    )
    assert shapes(model.head) == [(32, 24), (24, 24), (24, 8)]
    assert isinstance(model.head[-1], nn.BatchNorm1d)
    assert model(torch.rand(4, 3, 16, 16)).shape == (4, 8)
    assert SimCLR(Architecture(width=0.0625, head="none"))(torch.rand(4, 3, 16, 16)).shape == (4, 32)
