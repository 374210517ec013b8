"""k-nearest-neighbour accuracy on h: what the representation knows, without training anything on it."""

import torch
from torch import Tensor
from torch.nn import functional

from worker.simclr.evaluation.steps import Steps

KNN_TEMPERATURE = 0.07
QUERY_BATCH = 1024
MOST_SIMILARITIES = 2**28
"""At once in memory: fewer queries a batch where the training set is large."""


def knn_scores(train: tuple[Tensor, Tensor], queries: Tensor, *, neighbors: int, classes: int) -> Steps[Tensor]:
    """Votes float (q, C) for queries (q, D) from training features (n, D) and labels (n,); yields the share done.

    The ``neighbors`` training images of highest cosine similarity s vote with weight exp(s / 0.07), as in Wu et al.
    2018 (arXiv 1805.01978, section 3.4).
    """
    memory, labels = functional.normalize(train[0], dim=1), train[1].to(queries.device)
    batch = max(1, min(QUERY_BATCH, MOST_SIMILARITIES // len(memory)))
    votes = torch.zeros(len(queries), classes, device=queries.device)
    for start in range(0, len(queries), batch):
        part = functional.normalize(queries[start : start + batch], dim=1)
        top = (part @ memory.T).topk(neighbors, dim=1)
        votes[start : start + batch].scatter_add_(1, labels[top.indices], (top.values / KNN_TEMPERATURE).exp())
        yield min(1.0, (start + batch) / len(queries))
    return votes
