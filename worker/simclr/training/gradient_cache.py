"""Gradient caching: the exact loss and gradient of a large batch with the memory of a micro-batch (Gao et al. 2021,
arXiv 2101.06983).

The loss needs z of all images at once, but the net does not: z is computed micro-batch by micro-batch without a graph,
the loss gives dL/dz, and then each micro-batch passes the net again, this time with a graph, to carry its part of dL/dz
on to the weights. The sum over the micro-batches is the gradient of the whole batch, unlike gradient accumulation,
where an image never meets the negatives of the other micro-batches.

Batch normalisation sees a micro-batch, in both passes the same; its running statistics follow the second pass only.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

Forward = Callable[[slice], Tensor]
"""z (2m, D) of the two views of the images in these rows: first views, then second views."""


def micro_batches(rows: slice, size: int | None) -> list[slice]:
    """``rows`` in slices of ``size`` images; in one where ``size`` is None."""
    step = size or rows.stop - rows.start
    return [slice(start, start + step) for start in range(rows.start, rows.stop, step)]


def cached_z(model: nn.Module, forward: Forward, parts: Sequence[slice]) -> Tensor:
    """z (2n, D) of all ``parts`` together, first views first, as a leaf: its gradient is what ``replay`` carries on."""
    with torch.no_grad(), _running_statistics_kept(model):
        z = [forward(part).unflatten(0, (2, -1)) for part in parts]  # (2, m, D) each
    return torch.cat(z, dim=1).flatten(0, 1).requires_grad_()


def replay(forward: Forward, parts: Sequence[slice], z_gradient: Tensor) -> None:
    """Pass every part through the net again and carry its share of dL/dz (2n, D) on to the weights."""
    shares = z_gradient.unflatten(0, (2, -1)).split([part.stop - part.start for part in parts], dim=1)
    for part, share in zip(parts, shares, strict=True):
        forward(part).backward(share.flatten(0, 1))


@contextmanager
def _running_statistics_kept(model: nn.Module) -> Generator[None]:
    """Within, batch normalisation uses batch statistics but does not follow them."""
    following = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in following:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in following:
            module.track_running_stats = True
