"""LARS: layer-wise adaptive rate scaling.

The foreach kernels of torch are private by name only: its own optimisers are made of them.
"""
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
# ruff: noqa: SLF001

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv 1708.03888) as in the authors' ``lars_optimizer.py``.

    For a weight w with gradient g and decay b: u = g + b w; trust = eta |w| / |u|, or 1 where one of the norms is 0
    (a parameter that starts at zero would otherwise stay there); v = momentum v + lr trust u; w = w - v.
    A group with ``adapt`` False (biases, normalisation) has trust 1. The learning rate is inside the momentum.

    All tensors of a group are updated together (PyTorch's foreach kernels), and nothing waits for the device.
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
            trained = [(w, w.grad) for w in group["params"] if w.grad is not None]
            if trained:
                weights, gradients = map(list, zip(*trained, strict=True))
                self._update(weights, gradients, group)
        return None

    def _update(self, weights: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        updates = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        velocities = [self._velocity(w) for w in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        if group["adapt"]:
            rates = _trust_ratios(weights, updates, group["eta"]) * group["lr"]
            torch._foreach_addcmul_(velocities, updates, list(rates.unbind()))
        else:
            torch._foreach_add_(velocities, updates, alpha=group["lr"])
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, w: Tensor) -> Tensor:
        state = self.state[w]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(w)
        return state["momentum_buffer"]


def _trust_ratios(weights: list[Tensor], updates: tuple[Tensor, ...], eta: float) -> Tensor:
    """eta |w| / |u| of each pair (n,); 1 where either norm is 0."""
    w_norms, u_norms = torch.stack(torch._foreach_norm(weights)), torch.stack(torch._foreach_norm(updates))
    both = (w_norms > 0) & (u_norms > 0)
    return torch.where(both, eta * w_norms / u_norms.clamp_min(1e-38), 1.0)
