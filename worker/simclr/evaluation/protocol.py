"""How representations are looked at, and the quick look during pretraining: kNN accuracy on h.

Everything uses the representation of un-augmented images; what is fitted or chosen comes from the training set.
"""

from dataclasses import dataclass

from torch import nn

from worker.simclr.data.dataset import ImageDataset
from worker.simclr.evaluation.features import extract_features
from worker.simclr.evaluation.knn import knn_scores
from worker.simclr.evaluation.scores import top_k
from worker.simclr.evaluation.steps import Steps, scaled
from worker.simclr.precision import Precision

PROBE_AUGMENTATION = "none"
"""Neither the features that kNN and L-BFGS classifiers are fitted on nor those they are tested on are augmented."""


@dataclass(frozen=True)
class Protocol:
    """How to evaluate."""

    image_size: int
    precision: Precision
    neighbors: int


def evaluate_knn(encoder: nn.Module, dataset: ImageDataset, protocol: Protocol) -> Steps[float]:
    """kNN accuracy on the test set with the training set as memory; yields the share done."""
    train, test = dataset.train, dataset.test
    share = 0.9 * len(train.labels) / (len(train.labels) + len(test.labels))
    size, precision = protocol.image_size, protocol.precision
    extracting = extract_features(encoder, train.pixels, image_size=size, precision=precision)
    memory = yield from scaled(extracting, 0, share)
    extracting = extract_features(encoder, test.pixels, image_size=size, precision=precision)
    queries = yield from scaled(extracting, share, 0.9 - share)
    voting = knn_scores((memory, train.labels), queries, neighbors=protocol.neighbors, classes=len(dataset.classes))
    votes = yield from scaled(voting, 0.9, 0.1)
    return top_k(votes, test.labels)
