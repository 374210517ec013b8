"""Linear evaluation: multinomial logistic regression on h by L-BFGS (appendix B.8), no augmentation.

The strength of the L2 penalty is chosen on a split of the training set, never on the test set. Features are
standardised with the statistics of the training images that the classifier is fitted on.
"""

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from worker.simclr.evaluation.steps import Steps
from worker.simclr.randomness import generator

L2_CANDIDATES = tuple(10.0**exponent for exponent in (1, 0, -1, -2, -3, -4, -5))
"""Strongest first, so that each fit starts from the one before (the paper tries 45 values in [1e-6, 1e5])."""
VALIDATION_SHARE = 0.2
MAX_ITERATIONS = 200
ITERATIONS_A_TURN = 5
TOLERANCE = 1e-6
"""Solved when a turn lowers the objective by less than this share of it."""


@dataclass(frozen=True)
class LinearClassifier:
    """Logits = standardised h times ``weight`` plus ``bias``."""

    mean: Tensor  # (D,)
    scale: Tensor  # (D,)
    weight: Tensor  # (D, C)
    bias: Tensor  # (C,)

    def logits(self, features: Tensor) -> Tensor:
        """Logits (n, C) of features (n, D)."""
        return ((features - self.mean) / self.scale) @ self.weight + self.bias

    def predict(self, features: Tensor) -> Tensor:
        """The most probable class (n,) of features (n, D)."""
        return self.logits(features).argmax(dim=1)


def fit(
    features: Tensor, labels: Tensor, *, classes: int, l2: float, start: LinearClassifier | None = None
) -> Generator[None, None, LinearClassifier]:
    """The classifier that minimises mean cross entropy + l2 / 2 |W|^2 on features (n, D) and labels (n,).

    The bias has no penalty. The problem is convex: ``start`` only saves time, and so do the coordinates in which
    L-BFGS works, W = Q diag(r) V with Q diag(s) Q' the covariance of x and r = (s / C + l2)^(-1/2), where the objective
    curves about the same in every direction (5 to 10 times fewer iterations). Yields every few iterations.
    """
    mean = features.mean(dim=0)
    scale = features.std(dim=0, correction=0)
    scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))  # a dead feature stays at zero
    x = (features - mean) / scale
    variances, axes = torch.linalg.eigh(x.T @ x / len(x))
    rescale = (variances.clamp_min(0) / classes + l2).rsqrt().unsqueeze(1)  # (D, 1)
    x = x @ (axes * rescale.T)
    v = torch.zeros(x.shape[1], classes, device=x.device) if start is None else (axes.T @ start.weight) / rescale
    bias = torch.zeros(classes, device=x.device) if start is None else start.bias.clone()
    v.requires_grad_()
    bias.requires_grad_()
    solver = torch.optim.LBFGS([v, bias], max_iter=ITERATIONS_A_TURN, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        penalty = 0.5 * l2 * (rescale * v).square().sum()  # Q is a rotation: |Q diag(r) V| = |diag(r) V|
        loss = functional.cross_entropy(x @ v + bias, labels) + penalty
        loss.backward()
        return loss.item()

    before = float("inf")
    for _ in range(MAX_ITERATIONS // ITERATIONS_A_TURN):
        value = solver.step(closure)  # the objective before this turn
        yield
        if before - value < TOLERANCE * abs(value):
            break
        before = value
    return LinearClassifier(mean, scale, axes @ (rescale * v.detach()), bias.detach())


def fit_with_chosen_penalty(
    features: Tensor, labels: Tensor, *, classes: int, seed: int
) -> Steps[tuple[LinearClassifier, float]]:
    """A linear classifier of features (n, D) with labels (n,), and the penalty that was chosen.

    The penalty is the one of ``L2_CANDIDATES`` with the best accuracy on a random fifth of these images (of equals
    the strongest); the classifier is then fitted on all of them. Test images have no part in it. Yields the share done.
    """
    labels = labels.to(features.device)
    order = torch.randperm(len(features), generator=generator(seed, 0, "linear-split")).to(features.device)
    held_out = max(1, round(VALIDATION_SHARE * len(features)))
    validation, fitting = order[:held_out], order[held_out:]

    best_right, best_l2 = -1, L2_CANDIDATES[0]
    classifier: LinearClassifier | None = None
    for index, l2 in enumerate(L2_CANDIDATES):
        solving = fit(features[fitting], labels[fitting], classes=classes, l2=l2, start=classifier)
        classifier = yield from _at(solving, index / (len(L2_CANDIDATES) + 1))
        right = int((classifier.predict(features[validation]) == labels[validation]).sum())
        if right > best_right:
            best_right, best_l2 = right, l2

    solving = fit(features, labels, classes=classes, l2=best_l2)
    final = yield from _at(solving, len(L2_CANDIDATES) / (len(L2_CANDIDATES) + 1))
    return final, best_l2


def _at(solving: Generator[None, None, LinearClassifier], share: float) -> Steps[LinearClassifier]:
    """The same generator, yielding ``share`` each time."""
    while True:
        try:
            next(solving)
        except StopIteration as stop:
            return stop.value
        yield share
