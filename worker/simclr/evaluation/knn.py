"""k-nearest-neighbour accuracy on h: what the representation knows, without training anything on it."""

from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn import functional

KNN_TEMPERATURE = 0.07
QUERY_BATCH = 1024


def knn_predict(
    train_features: Tensor, train_labels: Tensor, queries: Tensor, *, neighbors: int, classes: int
) -> Tensor:
    """Classes (q,) of queries (q, D) from train features (n, D) and labels (n,): a weighted vote.

    The ``neighbors`` training images of highest cosine similarity s vote with weight exp(s / 0.07), as in Wu et al.
    2018 (arXiv 1805.01978, section 3.4). Of equal votes the lower class wins.
    """
    similarity = functional.normalize(queries, dim=1) @ functional.normalize(train_features, dim=1).T  # (q, n)
    top = similarity.topk(neighbors, dim=1)
    weights = (top.values / KNN_TEMPERATURE).exp()
    votes = torch.zeros(len(queries), classes, device=queries.device)
    votes.scatter_add_(1, train_labels.to(queries.device)[top.indices], weights)
    return votes.argmax(dim=1)


def knn_accuracy(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, neighbors: int, classes: int
) -> Generator[float, None, float]:
    """Share of all test (features, labels) that the training (features, labels) classify rightly; yields progress."""
    train_features, train_labels = train
    features, labels = test
    right = 0
    for start in range(0, len(features), QUERY_BATCH):
        part = slice(start, start + QUERY_BATCH)
        predicted = knn_predict(train_features, train_labels, features[part], neighbors=neighbors, classes=classes)
        right += int((predicted.cpu() == labels[part].cpu()).sum())
        yield min(1.0, (start + QUERY_BATCH) / len(features))
    return right / len(features)
