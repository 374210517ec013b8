"""The kNN vote against one written with sorted lists."""

import math

import torch

from tests.worker.conftest import result_of
from worker.simclr.evaluation import knn
from worker.simclr.evaluation.knn import knn_scores
from worker.simclr.evaluation.scores import top_k


def brute_force(train, labels, query, neighbors, classes):
    def cosine(a, b):
        return float(torch.dot(a, b) / (a.norm() * b.norm()))

    ranked = sorted(((cosine(query, row), label) for row, label in zip(train, labels, strict=True)), reverse=True)
    votes = [0.0] * classes
    for similarity, label in ranked[:neighbors]:
        votes[label] += math.exp(similarity / 0.07)
    return votes.index(max(votes))


def test_the_vote_is_that_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    train, queries = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (80, 50))
    labels = torch.randint(4, (80,), generator=generator)
    for neighbors in (1, 7, 80):
        votes = result_of(knn_scores((train.float(), labels), queries.float(), neighbors=neighbors, classes=4))
        assert votes.argmax(1).tolist() == [
            brute_force(train, labels.tolist(), query, neighbors, 4) for query in queries
        ]


def test_every_test_image_counts_once_whatever_the_batch(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    train = torch.randn(40, 3, generator=generator), torch.randint(3, (40,), generator=generator)
    test = torch.randn(23, 3, generator=generator), torch.randint(3, (23,), generator=generator)
    right = result_of(knn_scores(train, test[0], neighbors=5, classes=3)).argmax(1) == test[1]
    monkeypatch.setattr(knn, "QUERY_BATCH", 7)  # 23 = 3 * 7 + 2
    votes = result_of(knn_scores(train, test[0], neighbors=5, classes=3))
    assert top_k(votes, test[1]) == int(right.sum()) / 23
