"""LARS, SGD and AdamW, with biases and normalisation parameters left out of weight decay and adaptation.

Weight decay is the paper's L2 term for LARS and SGD (added to the gradient) and decoupled for AdamW. The paper uses
1e-6 on ImageNet, the authors' CIFAR-10 command 1e-4, which is the default of the config.
"""

from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

OptimizerName = Literal["lars", "sgd", "adamw"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights, with decay and LARS adaptation, and vectors (biases, normalisation), with neither."""
    weights: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in model.parameters():
        (weights if parameter.ndim > 1 else vectors).append(parameter)
    return [
        {"params": weights, "weight_decay": weight_decay, "adapt": True},
        {"params": vectors, "weight_decay": 0.0, "adapt": False},
    ]


def build_optimizer(name: OptimizerName, model: nn.Module, *, weight_decay: float, momentum: float) -> Optimizer:
    """The optimiser over ``model``; the learning rate is 0 until ``set_learning_rate``.

    ``momentum`` is that of LARS and of SGD (heavy ball, no Nesterov), and the first beta of AdamW.
    """
    groups = parameter_groups(model, weight_decay)
    match name:
        case "lars":
            return LARS(groups, momentum=momentum)
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=False)
        case "adamw":
            return torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use ``rate`` for the next update of every parameter."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv 1708.03888) as in the authors' ``lars_optimizer.py``.

    For a weight w with gradient g and decay b: u = g + b w; trust = eta |w| / |u|, or 1 where one of the norms is 0
    (a parameter that starts at zero would otherwise stay there); v = momentum v + lr trust u; w = w - v.
    A group with ``adapt`` False (biases, normalisation) has trust 1. The learning rate is inside the momentum.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, momentum: float = 0.9, trust_coefficient: float = 0.001
    ) -> None:
        super().__init__(
            groups,
            {"lr": 0.0, "momentum": momentum, "weight_decay": 0.0, "eta": trust_coefficient, "adapt": True},
        )

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient. A closure is not supported."""
        if closure is not None:
            raise ValueError("LARS evaluates no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return None

    def _update(self, w: Tensor, group: dict[str, Any]) -> None:
        if w.grad is None:
            return
        update = w.grad.add(w, alpha=group["weight_decay"])
        trust = _trust_ratio(w, update, group["eta"]) if group["adapt"] else torch.ones((), device=w.device)
        state = self.state[w]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(w)
        velocity: Tensor = state["momentum_buffer"]
        velocity.mul_(group["momentum"]).add_(update.mul_(trust * group["lr"]))
        w.sub_(velocity)


def _trust_ratio(w: Tensor, update: Tensor, eta: float) -> Tensor:
    """eta |w| / |u| as a scalar tensor (no wait for the device); 1 where either norm is 0."""
    w_norm, update_norm = torch.linalg.vector_norm(w), torch.linalg.vector_norm(update)
    both = (w_norm > 0) & (update_norm > 0)
    return torch.where(both, eta * w_norm / update_norm.clamp_min(1e-38), torch.ones_like(w_norm))
