"""LARS, SGD and AdamW, with biases and normalisation parameters left out of weight decay and adaptation.

Weight decay is the paper's L2 term for LARS and SGD (added to the gradient) and decoupled for AdamW. The paper uses
1e-6 on ImageNet, the authors' CIFAR-10 command 1e-4, which is the default of the config.
"""

from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from worker.simclr.training.lars import LARS

OptimizerName = Literal["lars", "sgd", "adamw"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights, with decay and LARS adaptation, and vectors (biases, normalisation), with neither.

    A parameter that is not trained is in none.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    return [
        {"params": weights, "weight_decay": weight_decay, "adapt": True},
        {"params": vectors, "weight_decay": 0.0, "adapt": False},
    ]


def build_optimizer(
    name: OptimizerName, model: nn.Module, *, weight_decay: float, momentum: float, nesterov: bool = False
) -> Optimizer:
    """The optimiser over ``model``, on its device; the learning rate is 0 until ``set_learning_rate``.

    ``momentum`` is that of LARS and of SGD, there with ``nesterov`` or as a heavy ball, and the first beta of AdamW.
    Raises ValueError for ``nesterov`` with another optimiser than SGD or without momentum.
    """
    if nesterov and name != "sgd":
        raise ValueError(f"Nesterov momentum is for SGD, not for {name}")
    groups = parameter_groups(model, weight_decay)
    match name:
        case "lars":
            return LARS(groups, momentum=momentum)
        case "sgd":
            optimizer = torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=nesterov, fused=True)
        case "adamw":
            optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999), fused=True)
    optimizer.register_step_pre_hook(_lay_out_gradients)
    return optimizer


def _lay_out_gradients(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
    """Give every gradient the strides of its parameter: the fused kernels go through memory in order, unchecked.

    Autograd does so by itself; gradients that were put together by hand, as of several processes, may be contiguous
    where the parameter is channels-last, and would be added to the wrong weights.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(gradient)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use ``rate`` for the next update of every parameter."""
    for group in optimizer.param_groups:
        group["lr"] = rate
