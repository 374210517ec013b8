"""The losses of Table 2 for a block of anchors, each with its gradient in closed form.

The table gives *negative* losses for one anchor u, its positive v+ and a negative v-; here are the losses, and this is
how they become one number for an anchor and its 2N-2 negatives:

- NT-Xent is a cross entropy over all 2N-1 candidates, so the table's line already is the loss of an anchor.
- NT-Logistic and margin triplet are a mean over the anchor's 2N-2 triples (u, v+, v-), those of value 0 among them. For
  NT-Logistic so weighed, the positive counts as much as all negatives together.
- Semi-hard mining ("within the loss margin and closest in distance, but farther than positive examples", section 5.1)
  keeps one triple an anchor: the negative of the greatest similarity below that of the positive. One outside of the
  margin costs nothing by the formula itself. Where every negative is at least as similar as the positive there is none:
  the triplet loss of that anchor is 0, and NT-Logistic keeps the positive's part.

Negatives are those of both views. (Appendix B.10 took those of one view, "for simplicity", which it says impairs
performance slightly.) Similarities arrive divided by the temperature, and slopes are derivatives by these quotients.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["nt_xent", "nt_logistic", "margin_triplet"]


@dataclass(frozen=True)
class Settings:
    """Which loss, and its numbers; ``margin`` and ``semi_hard`` have no meaning for NT-Xent."""

    name: LossName
    temperature: float
    margin: float
    semi_hard: bool


@dataclass(frozen=True)
class Rows:
    """What B anchors see: their similarities to all 2N rows, over the temperature.

    ``positive`` (B, 1) int64: the column of the positive. ``positive_logit`` (B, 1): its similarity. ``negatives``
    (B, 2N): the others, with -inf at the anchor itself and at its positive. ``log_p`` and ``p`` (B, 2N): the softmax
    over the 2N-1 candidates, both 0 at the anchor itself.
    """

    positive: Tensor
    positive_logit: Tensor
    negatives: Tensor
    log_p: Tensor
    p: Tensor

    @staticmethod
    def of(logits: Tensor, itself: Tensor, positive: Tensor) -> "Rows":
        """From ``logits`` (B, 2N), which are overwritten, and the columns ``itself`` and ``positive``, both (B, 1).

        The anchor's own column is masked, not subtracted, so it gets no gradient; nothing is clamped.
        """
        logits.scatter_(1, itself, -torch.inf)
        log_p = logits.log_softmax(dim=1)
        p = log_p.exp()
        log_p.scatter_(1, itself, 0.0)  # 0 ln 0 is 0 in an entropy
        positive_logit = logits.gather(1, positive)
        return Rows(positive, positive_logit, logits.scatter_(1, positive, -torch.inf), log_p, p)

    @property
    def won(self) -> Tensor:
        """How many anchors are more similar to their positive than to every negative: a scalar."""
        return (self.positive_logit > self.negatives.amax(dim=1, keepdim=True)).sum()

    @property
    def entropy(self) -> Tensor:
        """Sum over the anchors of the entropy of the softmax, in nats: a scalar."""
        return -torch.dot(self.p.flatten(), self.log_p.flatten())


def loss_and_slope(rows: Rows, settings: Settings) -> tuple[Tensor, Tensor]:
    """The losses (B,) and their derivatives by the similarities over the temperature (B, 2N). May overwrite ``rows``."""
    match settings.name:
        case "nt_xent":
            return _nt_xent(rows)
        case "nt_logistic":
            return _semi_hard_logistic(rows) if settings.semi_hard else _nt_logistic(rows)
        case "margin_triplet":
            margin, temperature = settings.margin / settings.temperature, settings.temperature
            loss, slope = _semi_hard_triplet(rows, margin) if settings.semi_hard else _margin_triplet(rows, margin)
            return loss * temperature, slope.mul_(temperature)


def _nt_xent(rows: Rows) -> tuple[Tensor, Tensor]:
    """-log softmax at the positive; the slope is softmax minus one-hot."""
    loss = -rows.log_p.gather(1, rows.positive)
    return loss.squeeze(1), rows.p.scatter_(1, rows.positive, rows.p.gather(1, rows.positive) - 1)


def _nt_logistic(rows: Rows) -> tuple[Tensor, Tensor]:
    """-log sigmoid(positive) - mean log sigmoid(-negative)."""
    triples = rows.negatives.shape[1] - 2
    attraction = functional.softplus(-rows.positive_logit).squeeze(1)
    slope = rows.negatives.sigmoid().div_(triples)
    slope.scatter_(1, rows.positive, -torch.sigmoid(-rows.positive_logit))
    return attraction + functional.softplus(rows.negatives).sum(dim=1) / triples, slope


def _semi_hard_logistic(rows: Rows) -> tuple[Tensor, Tensor]:
    """-log sigmoid(positive) - log sigmoid(-semi-hard negative)."""
    negative, column = _semi_hard(rows)
    loss = functional.softplus(-rows.positive_logit) + functional.softplus(negative)
    slope = torch.zeros_like(rows.negatives).scatter_(1, column, negative.sigmoid())
    return loss.squeeze(1), slope.scatter_(1, rows.positive, -torch.sigmoid(-rows.positive_logit))


def _margin_triplet(rows: Rows, margin: float) -> tuple[Tensor, Tensor]:
    """mean max(negative - positive + margin, 0), all three over the temperature."""
    triples = rows.negatives.shape[1] - 2
    gap = rows.negatives - rows.positive_logit + margin
    slope = (gap > 0).to(gap.dtype).div_(triples)
    slope.scatter_(1, rows.positive, -slope.sum(dim=1, keepdim=True))
    return gap.relu_().sum(dim=1) / triples, slope


def _semi_hard_triplet(rows: Rows, margin: float) -> tuple[Tensor, Tensor]:
    """max(semi-hard negative - positive + margin, 0), all three over the temperature."""
    negative, column = _semi_hard(rows)
    gap = negative - rows.positive_logit + margin
    pull = (gap > 0).to(gap.dtype)
    slope = torch.zeros_like(rows.negatives).scatter_(1, column, pull).scatter_(1, rows.positive, -pull)
    return gap.relu().squeeze(1), slope


def _semi_hard(rows: Rows) -> tuple[Tensor, Tensor]:
    """The greatest similarity below the positive's and its column, both (B, 1); -inf and any column if there is none."""
    farther = rows.negatives.masked_fill(rows.negatives >= rows.positive_logit, -torch.inf)
    return farther.max(dim=1, keepdim=True)
