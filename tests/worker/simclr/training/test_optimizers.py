"""LARS against its formula in float64, and what is left out of weight decay and adaptation."""

import pytest
import torch
from torch import nn

from worker.simclr.nets.encoders import ResNet
from worker.simclr.nets.heads import projection_head
from worker.simclr.training.lars import LARS
from worker.simclr.training.optimizers import build_optimizer, parameter_groups, set_learning_rate


def float64_lars(w, gradients, *, lr, momentum, decay, eta=0.001, adapt=True):
    """Weights after each gradient: You et al. 2017 with the learning rate inside the momentum."""
    w, v = w.double(), torch.zeros_like(w, dtype=torch.float64)
    trace = []
    for gradient in gradients:
        update = gradient.double() + decay * w
        norms = w.norm(), update.norm()
        trust = eta * norms[0] / norms[1] if adapt and norms[0] > 0 and norms[1] > 0 else 1.0
        v = momentum * v + lr * trust * update
        w = w - v
        trace.append(w)
    return trace


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 3, generator=generator))
        self.bias = nn.Parameter(torch.randn(4, generator=generator))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_lars_follows_its_formula_in_float64_over_many_steps(momentum):
    net = Net()
    starts = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    optimizer = build_optimizer("lars", net, weight_decay=0.01, momentum=momentum)
    set_learning_rate(optimizer, 2.0)
    generator = torch.Generator().manual_seed(1)
    gradients = {name: [torch.randn(p.shape, generator=generator) for _ in range(10)] for name, p in starts.items()}
    trace = {
        "weight": float64_lars(starts["weight"], gradients["weight"], lr=2.0, momentum=momentum, decay=0.01),
        "bias": float64_lars(starts["bias"], gradients["bias"], lr=2.0, momentum=momentum, decay=0.0, adapt=False),
    }
    for step in range(10):
        for name, parameter in net.named_parameters():
            parameter.grad = gradients[name][step].clone()
        optimizer.step()
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(parameter.detach().double(), trace[name][step], rtol=1e-5, atol=1e-6)


def test_lars_moves_a_parameter_of_norm_zero_with_trust_ratio_one():
    parameter = nn.Parameter(torch.zeros(3, 2))
    optimizer = LARS([{"params": [parameter], "weight_decay": 0.1, "adapt": True}], momentum=0.9)
    set_learning_rate(optimizer, 0.5)
    parameter.grad = torch.ones(3, 2)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((3, 2), -0.5))


def test_lars_leaves_a_parameter_with_gradient_zero_and_no_decay_where_it_is():
    parameter = nn.Parameter(torch.ones(3, 2))
    optimizer = LARS([{"params": [parameter], "weight_decay": 0.0, "adapt": True}], momentum=0.9)
    set_learning_rate(optimizer, 0.5)
    parameter.grad = torch.zeros(3, 2)
    optimizer.step()
    assert torch.equal(parameter.detach(), torch.ones(3, 2))


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_biases_and_normalisation_have_neither_weight_decay_nor_adaptation(name):
    net = nn.Sequential(ResNet("resnet18", 0.0625), nn.Linear(32, 5))
    optimizer = build_optimizer(name, net, weight_decay=0.1, momentum=0.9)
    decayed, left_out = optimizer.param_groups
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    normalisation = {
        f"{module_name}.{parameter_name}"
        for module_name, module in net.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter_name, _ in module.named_parameters(recurse=False)
    }
    assert {names[id(parameter)] for parameter in left_out["params"]} == normalisation | {"1.bias"}
    assert len(decayed["params"]) + len(left_out["params"]) == len(names)
    assert (decayed["weight_decay"], left_out["weight_decay"]) == (0.1, 0.0)
    if name == "lars":
        assert (decayed["adapt"], left_out["adapt"]) == (True, False)


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_weight_decay_shrinks_weights_without_gradient_and_leaves_biases(name):
    net = Net()
    before = {key: parameter.detach().clone() for key, parameter in net.named_parameters()}
    optimizer = build_optimizer(name, net, weight_decay=0.1, momentum=0.0)
    set_learning_rate(optimizer, 1.0)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # LARS adapts the decay with the gradient: u = b w, trust = eta |w| / |u| = eta / b.
    kept = 1 - 0.001 if name == "lars" else 1 - 0.1
    torch.testing.assert_close(net.weight.detach(), before["weight"] * kept)
    assert torch.equal(net.bias.detach(), before["bias"])


def test_the_default_weight_decay_is_that_of_the_authors_cifar_command():
    from backend.contracts.config import ExperimentConfig

    assert ExperimentConfig().optimizer.weight_decay == 1e-4


def test_parameter_groups_hold_every_parameter_once():
    net = ResNet("resnet18", 0.0625)
    grouped = [id(parameter) for group in parameter_groups(net, 0.1) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in net.parameters())


def test_a_parameter_that_is_not_trained_is_in_no_group():
    head = projection_head("nonlinear", 8, 4, batch_norm="all")
    grouped = {id(parameter) for group in parameter_groups(head, 0.1) for parameter in group["params"]}
    assert grouped == {id(parameter) for parameter in head.parameters() if parameter is not head[-1].bias}


def test_lars_takes_the_authors_momentum_of_0_9_and_trust_coefficient_of_0_001():
    group = LARS([{"params": [nn.Parameter(torch.ones(2, 2))]}]).param_groups[0]
    assert (group["momentum"], group["eta"]) == (0.9, 0.001)


def test_lars_evaluates_no_closure():
    with pytest.raises(ValueError, match="no closure"):
        build_optimizer("lars", Net(), weight_decay=0.0, momentum=0.9).step(lambda: 0.0)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_its_formula_in_float64_with_and_without_nesterov(nesterov):
    net = Net()
    w, v = net.weight.detach().double(), torch.zeros(4, 3, dtype=torch.float64)
    optimizer = build_optimizer("sgd", net, weight_decay=0.01, momentum=0.9, nesterov=nesterov)
    set_learning_rate(optimizer, 0.5)
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        net.weight.grad = torch.randn(4, 3, generator=generator)
        update = net.weight.grad.double() + 0.01 * w
        v = 0.9 * v + update
        w = w - 0.5 * (update + 0.9 * v if nesterov else v)
        optimizer.step()
        torch.testing.assert_close(net.weight.detach().double(), w, rtol=1e-5, atol=1e-6)


def test_adamw_follows_its_formula_in_float64():
    net = Net()
    w = net.weight.detach().double()
    first, second = torch.zeros_like(w), torch.zeros_like(w)
    optimizer = build_optimizer("adamw", net, weight_decay=0.1, momentum=0.9)
    set_learning_rate(optimizer, 0.01)
    generator = torch.Generator().manual_seed(1)
    for step in range(1, 11):
        net.weight.grad = torch.randn(4, 3, generator=generator)
        gradient = net.weight.grad.double()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        w = w * (1 - 0.01 * 0.1)
        w = w - 0.01 * first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        optimizer.step()
        torch.testing.assert_close(net.weight.detach().double(), w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["lars", "adamw"])
def test_nesterov_is_refused_for_other_optimisers_than_sgd(name):
    with pytest.raises(ValueError, match=f"not for {name}"):
        build_optimizer(name, Net(), weight_decay=0.0, momentum=0.9, nesterov=True)


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_a_gradient_in_another_memory_layout_moves_the_same_weights(name):
    """Kernels that go through memory in order would add it to the wrong ones."""
    start = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = nn.Conv2d(3, 4, 3, bias=False)
        net.weight.data = start.clone().contiguous(memory_format=layout)
        optimizer = build_optimizer(name, net, weight_decay=0.1, momentum=0.9)
        set_learning_rate(optimizer, 0.1)
        for _ in range(3):
            net.weight.grad = gradient.clone()
            optimizer.step()
        moved.append(net.weight.detach())
    assert moved[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved[0], moved[1])
    assert not torch.equal(moved[0], start)
