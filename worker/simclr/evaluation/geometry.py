"""The geometry of a representation: do views of one image meet, do images spread out, how many dimensions are used.

Alignment and uniformity are those of Wang and Isola 2020 (arXiv 2005.10242), effective rank that of Roy and Vetterli
2007. All of them see the test images only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 1024
COLLAPSED_RANK = 2.0
COLLAPSED_SPREAD = 0.05


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance between two views' representations (n, D) scaled to length 1: 0 where they coincide."""
    first, second = functional.normalize(first, dim=1), functional.normalize(second, dim=1)
    return float((first - second).square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """log of the mean of exp(-2 |x - y|^2) over all pairs of different images, for features (n, D) of length 1.

    0 where all images coincide; about -4 where they are spread evenly over a sphere of many dimensions.
    """
    x = functional.normalize(features, dim=1)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), BLOCK):
        squared_distances = 2 - 2 * x[start : start + BLOCK] @ x.T
        potential = (-2 * squared_distances).exp()
        potential.diagonal(start).zero_()
        total += potential.sum(dtype=torch.float64)
    return float((total / (len(x) * (len(x) - 1))).log())


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the singular values, as shares of their sum, of centred features (n, D); from 1 to D.

    Singular values are square roots of the scatter matrix's eigenvalues, in float64. 0 where nothing varies.
    """
    x = features.double()
    x = x - x.mean(0)
    values = torch.linalg.eigvalsh(x.T @ x).clamp_min(0).sqrt()
    total = values.sum()
    if float(total) <= 1e-9 * float(features.double().norm()):
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


def spread(features: Tensor) -> float:
    """Standard deviation of features (n, D) scaled to length 1, times sqrt(D): 1 on an even sphere, 0 in one point."""
    x = functional.normalize(features, dim=1).double()
    return float(x.var(0, correction=0).sum().sqrt())


@dataclass(frozen=True)
class Collapse:
    """Whether all images have nearly the same representation, and how that shows."""

    effective_rank: float
    spread: float
    dimensions: int

    @property
    def is_collapsed(self) -> bool:
        """h varies along fewer than two directions, or every z points the same way."""
        return self.effective_rank < COLLAPSED_RANK or self.spread < COLLAPSED_SPREAD

    @property
    def warning(self) -> str:
        """For a person."""
        return (
            f"The representation has collapsed: images can hardly be told apart (effective rank of h {self.effective_rank:.1f} "
            f"of {self.dimensions}, spread of z {self.spread:.3f}, where 1 is even). Try a lower learning rate, a longer "
            "warm-up, a larger batch or another temperature."
        )


def find_collapse(h: Tensor, z: Tensor) -> Collapse:
    """Look for collapse in h (n, D) and z (n, D') of the test images."""
    return Collapse(effective_rank(h), spread(z), h.shape[1])
