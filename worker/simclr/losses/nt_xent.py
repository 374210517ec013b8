"""NT-Xent (equation 1) and what is worth watching beside it.

The loss is the *mean* over the 2N anchors, both directions of every pair. The authors' TensorFlow code sums the means
of the two directions, which is twice this value and, for SGD and Adam, twice the gradient (LARS does not notice).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ContrastiveLoss:
    """NT-Xent of a batch (a scalar with gradient) and, without gradient, two scalars that explain it.

    ``accuracy``: share of the anchors whose positive is more similar than every negative.
    ``entropy``: mean entropy of the softmax over the 2N-1 candidates, in nats; ln(2N-1) where nothing is learned.
    """

    loss: Tensor
    accuracy: Tensor
    entropy: Tensor


def positives(count: int, device: torch.device) -> Tensor:
    """For each of the 2N rows the row that holds the other view of the same image: (2N,), int64."""
    half = count // 2
    return torch.arange(count, device=device).roll(half)


def nt_xent_logits(z: Tensor, temperature: float) -> Tensor:
    """Cosine similarities of all pairs / temperature, the diagonal set to -inf: z (2N, D) to (2N, 2N), float32.

    Float32 also under autocast: bf16 keeps 8 bits, so at temperature 0.1 the logits would be off by up to 0.08.
    The diagonal is masked, not subtracted, so an anchor has exactly 2N-1 candidates and gets no gradient from itself.
    """
    with torch.autocast(z.device.type, enabled=False):
        unit = functional.normalize(z.float(), dim=1)
        similarity = unit @ unit.T / temperature
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        return similarity.masked_fill(itself, -torch.inf)


def nt_xent(z: Tensor, temperature: float, anchors: Tensor | None = None) -> ContrastiveLoss:
    """NT-Xent (equation 1) of z (2N, D), where rows i and i + N are the two views of an image; D is any.

    Raises ValueError where the number of rows is odd or less than 4 (one pair has no negatives).
    """
    if len(z) % 2 or len(z) < 4:
        raise ValueError(f"NT-Xent needs two views of at least two images, so 2N >= 4 rows, not {len(z)}")
    logits = nt_xent_logits(z, temperature)  # (2N, 2N)
    target = positives(len(z), z.device)
    share = 1.0
    if anchors is not None:
        logits, target, share = logits[anchors], target[anchors], len(anchors) / len(z)
    with torch.autocast(z.device.type, enabled=False):
        loss = functional.cross_entropy(logits, target) * share
        with torch.no_grad():
            accuracy = (logits.argmax(dim=1) == target).float().mean() * share
            probability = logits.softmax(dim=1)
            entropy = torch.special.entr(probability).sum(dim=1).mean() * share
    return ContrastiveLoss(loss, accuracy, entropy)
