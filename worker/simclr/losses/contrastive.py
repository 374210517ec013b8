"""The contrastive losses of Table 2 over the 2N views of a batch, in row blocks of the similarity matrix.

The forward pass computes a block of rows, what it adds to the loss and what it adds to the gradient, and drops it; the
backward pass only scales the gradient. So memory grows with 2N (times D, and times the rows of a block), not with its
square, and nothing of the matrix is kept for the backward pass.

The loss is the *mean* over the 2N anchors, both directions of every pair. The authors' TensorFlow code sums the means
of the two directions, which is twice this value and, for SGD and Adam, twice the gradient (LARS does not notice).
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from worker.simclr.losses.rows import LossName, Rows, Settings, loss_and_slope

BLOCK_ELEMENTS = {"cpu": 2**21, "cuda": 2**24}
"""Similarities in a block: enough for two cores and for a GPU to be busy (8 and 64 MiB a tensor, of which three to five are held)."""


@dataclass(frozen=True)
class ContrastiveLoss:
    """The loss of a batch (a scalar with gradient) and, without gradient, two scalars that explain it.

    ``accuracy``: share of the anchors whose positive is more similar than every negative.
    ``entropy``: mean entropy of the softmax over the 2N-1 candidates, in nats; ln(2N-1) where nothing is learned. It
    is that of the similarities over the temperature for every loss. (Table 5 shows both over the N candidates of the
    other view only, so its entropy ends at ln N.)

    With ``anchors`` each of the three is what these anchors contribute: a sum divided by 2N.
    """

    loss: Tensor
    accuracy: Tensor
    entropy: Tensor


def contrastive_loss(
    z: Tensor,
    name: LossName = "nt_xent",
    *,
    temperature: float = 0.5,
    margin: float = 0.8,
    semi_hard: bool = False,
    normalize: bool = True,
    anchors: Tensor | None = None,
) -> ContrastiveLoss:
    """A loss of Table 2 over z (2N, D), where rows i and i + N are the two views of an image; D is any.

    Similarity is the cosine, or without ``normalize`` the dot product. ``temperature`` is that of NT-Xent (equation 1)
    and NT-Logistic, ``margin`` that of the margin triplet; ``rows.py`` says how negatives are weighed and mined.

    ``anchors`` (A,) int64, each row at most once: only these rows count as anchors, against all others as candidates.
    The sum over them is divided by 2N, so over processes that share the rows, values and gradients add up to those of
    one process that has them all.

    Computed in float32 (float64 for float64 z), also under autocast and where products may be TF32: bf16 keeps 8 bits,
    so at temperature 0.1 the logits would be off by up to 0.08. There is no second derivative: asking for it raises
    RuntimeError.

    Raises ValueError where the number of rows is odd or less than 4 (one pair has no negatives), and for semi-hard
    mining with NT-Xent, which weighs negatives by itself.
    """
    if len(z) % 2 or len(z) < 4:
        raise ValueError(f"A contrastive loss needs two views of at least two images: 2N >= 4 rows, not {len(z)}")
    if semi_hard and name == "nt_xent":
        raise ValueError("NT-Xent weighs negatives by itself: semi-hard mining is for the other losses")
    with torch.autocast(z.device.type, enabled=False), _float32_products():
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        vectors = functional.normalize(z, dim=1) if normalize else z
        needs_gradient = torch.is_grad_enabled() and vectors.requires_grad
        settings = Settings(name, temperature, margin, semi_hard)
        loss, accuracy, entropy = cast(
            "tuple[Tensor, Tensor, Tensor]", _InBlocks.apply(vectors, anchors, settings, needs_gradient)
        )
    return ContrastiveLoss(loss, accuracy, entropy)


def positives(count: int, device: torch.device) -> Tensor:
    """For each of the 2N rows the row that holds the other view of the same image: (2N,), int64."""
    return torch.arange(count, device=device).roll(count // 2)


@contextmanager
def _float32_products() -> Generator[None]:
    """Products of float32 matrices are that exact, whatever the process chose for speed."""
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


class _InBlocks(torch.autograd.Function):
    """Loss, accuracy and entropy of vectors (2N, D), and their gradient already in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, anchors: Tensor | None, settings: Settings, needs_gradient: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        count = len(vectors)
        positive = positives(count, vectors.device)
        rows = torch.arange(count, device=vectors.device) if anchors is None else anchors
        total = vectors.new_zeros(()), vectors.new_zeros(()), vectors.new_zeros(())
        gradient = torch.zeros_like(vectors) if needs_gradient else None
        of_anchors: list[Tensor] = []
        for itself in rows.split(max(1, BLOCK_ELEMENTS.get(vectors.device.type, 2**21) // count)):
            sums, of_anchor = _block(vectors, itself, positive, settings, gradient)
            total = tuple(a + b for a, b in zip(total, sums, strict=True))
            of_anchors += of_anchor
        if gradient is not None:
            gradient.index_add_(0, rows, torch.cat(of_anchors), alpha=1 / settings.temperature)
            ctx.save_for_backward(gradient.div_(count))
        loss, accuracy, entropy = (value / count for value in total)
        ctx.mark_non_differentiable(accuracy, entropy)
        return loss, accuracy, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():  # create_graph: the normalisation before would give a part of it, silently
            raise RuntimeError("The contrastive losses have no second derivative: call backward without create_graph")
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None, None, None


def _block(
    vectors: Tensor, itself: Tensor, positive: Tensor, settings: Settings, gradient: Tensor | None
) -> tuple[tuple[Tensor, Tensor, Tensor], list[Tensor]]:
    """Loss, anchors won and entropy, each summed over the anchors ``itself`` (B,), and what they add to the gradient.

    The candidates' part of it is added to ``gradient`` (2N, D), the anchors' part (B, D) times the temperature is
    returned in a list, which is empty if there is no ``gradient``.
    """
    anchor = vectors[itself] / settings.temperature  # (B, D)
    rows = Rows.of(anchor @ vectors.T, itself[:, None], positive[itself, None])
    won, entropy = rows.won, rows.entropy
    losses, slope = loss_and_slope(rows, settings)
    sums = losses.sum(), won, entropy
    if gradient is None:
        return sums, []
    gradient.addmm_(slope.T, anchor)
    return sums, [slope @ vectors]
