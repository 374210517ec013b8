"""Table 2 of the paper in float64, written as the loops it is: one anchor, one positive, one negative after another."""

import math

import torch


def similarities(z, *, normalize):
    """Cosine or dot product of every pair, one by one: a list of rows of float64 scalars with gradient."""
    rows = [row / row.norm() for row in z.double()] if normalize else list(z.double())
    return [[torch.dot(a, b) for b in rows] for a in rows]


def triples(s, i):
    """For anchor i: its positive's similarity and those of its 2N - 2 negatives."""
    n = len(s)
    j = (i + n // 2) % n
    negatives = [s[i][k] for k in range(n) if k not in (i, j)]
    assert len(negatives) == n - 2
    return s[i][j], negatives


def semi_hard(positive, negatives):
    """The negative closest to the anchor among those farther than the positive, as a list of one or none."""
    farther = [negative for negative in negatives if negative < positive]
    return sorted(farther, key=torch.Tensor.item)[-1:]


def nt_xent(positive, negatives, *, temperature):
    candidates = [positive, *negatives]
    return -(positive / temperature - torch.log(sum(torch.exp(s / temperature) for s in candidates)))


def log_sigmoid(x):
    return -torch.log(1 + torch.exp(-x))


def nt_logistic(positive, negatives, *, temperature):
    """The mean over the triples; the positive's part alone where no triple is left."""
    terms = [log_sigmoid(-negative / temperature) for negative in negatives]
    return -log_sigmoid(positive / temperature) - (sum(terms) / len(terms) if terms else 0.0)


def margin_triplet(positive, negatives, *, margin):
    """The mean over the triples; 0 where no triple is left."""
    terms = [(negative - positive + margin).clamp(min=0) for negative in negatives]
    return sum(terms) / len(terms) if terms else 0.0 * positive


def table_2(z, name, *, temperature=0.5, margin=0.8, mined=False, normalize=True):
    """The losses of all 2N anchors: a list of float64 scalars with gradient."""
    s = similarities(z, normalize=normalize)
    losses = []
    for i in range(len(z)):
        positive, negatives = triples(s, i)
        if mined:
            negatives = semi_hard(positive, negatives)
        match name:
            case "nt_xent":
                losses.append(nt_xent(positive, negatives, temperature=temperature))
            case "nt_logistic":
                losses.append(nt_logistic(positive, negatives, temperature=temperature))
            case "margin_triplet":
                losses.append(margin_triplet(positive, negatives, margin=margin))
    return losses


def explained(z, *, temperature=0.5, normalize=True):
    """(share of anchors whose positive beats every negative, mean entropy in nats of the softmax of 2N-1 candidates)."""
    s = similarities(z, normalize=normalize)
    won, entropies = [], []
    for i in range(len(z)):
        positive, negatives = triples(s, i)
        won.append(all(positive > negative for negative in negatives))
        weights = [math.exp(x.item() / temperature) for x in (positive, *negatives)]
        entropies.append(-sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights))
    return sum(won) / len(won), sum(entropies) / len(entropies)
