"""Evaluation of the frozen representation h on the test set: kNN and linear accuracy.

Both use h, never z, of un-augmented images; everything that is fitted or chosen comes from the training set.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from worker.simclr.data.dataset import ImageDataset
from worker.simclr.evaluation.features import extract_features
from worker.simclr.evaluation.knn import knn_accuracy
from worker.simclr.evaluation.linear import LinearResult, linear_evaluation
from worker.simclr.precision import Precision

Result = TypeVar("Result")

PROBE_AUGMENTATION = "none"
"""Neither the features that a classifier is fitted on nor those it is tested on are augmented."""


@dataclass(frozen=True)
class Protocol:
    """How to evaluate."""

    image_size: int
    precision: Precision
    neighbors: int
    linear: bool
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """Accuracies as fractions of all ``test_images``; ``linear`` is None where it was not asked for."""

    knn_top1: float
    linear: LinearResult | None
    feature_dim: int
    test_images: int


def _features(
    encoder: nn.Module, dataset: ImageDataset, protocol: Protocol
) -> Generator[float, None, tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """((features, labels) of the training set, the same of the test set); yields the share done."""
    total = len(dataset.train.labels) + len(dataset.test.labels)
    found: list[tuple[Tensor, Tensor]] = []
    done = 0
    for images in (dataset.train, dataset.test):
        extracting = extract_features(
            encoder, images.pixels, image_size=protocol.image_size, precision=protocol.precision
        )
        features = yield from scaled(extracting, done / total, len(images.labels) / total)
        found.append((features, images.labels))
        done += len(images.labels)
    return found[0], found[1]


def evaluate_knn(encoder: nn.Module, dataset: ImageDataset, protocol: Protocol) -> Generator[float, None, float]:
    """kNN accuracy on the test set with the training set as memory; yields the share done."""
    train, test = yield from scaled(_features(encoder, dataset, protocol), 0, 0.9)
    voting = knn_accuracy(train, test, neighbors=protocol.neighbors, classes=len(dataset.classes))
    return (yield from scaled(voting, 0.9, 0.1))


def evaluate(encoder: nn.Module, dataset: ImageDataset, protocol: Protocol) -> Generator[float, None, Evaluation]:
    """kNN and, where the protocol says so, linear accuracy from one extraction of features; yields the share done."""
    classes = len(dataset.classes)
    train, test = yield from scaled(_features(encoder, dataset, protocol), 0, 0.6)
    voting = knn_accuracy(train, test, neighbors=protocol.neighbors, classes=classes)
    knn_top1 = yield from scaled(voting, 0.6, 0.1)
    linear: LinearResult | None = None
    if protocol.linear:
        solving = linear_evaluation(train, test, classes=classes, seed=protocol.seed)
        linear = yield from scaled(solving, 0.7, 0.3)
    return Evaluation(knn_top1, linear, train[0].shape[1], len(test[1]))


def scaled(steps: Generator[float, None, Result], start: float, share: float) -> Generator[float, None, Result]:
    """``steps`` with its progress mapped from [0, 1] to [start, start + share]."""
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            return stop.value
        yield start + share * done
