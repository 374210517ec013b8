"""Which evaluations a config asks for, what each costs, and what its result depends on."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.pipeline.bench import Bench, Measured
from worker.pipeline.experiment import Experiment
from worker.pipeline.frozen_evaluations import (
    MOST_PAIRS,
    MOST_TRANSFORMED,
    measure_linear_sgd,
    measure_trained,
    measure_transfer,
    measure_transformations,
    measure_untrained,
)
from worker.pipeline.image_map import measure_projection
from worker.pipeline.labelled_evaluations import few_labels_name, measure_few_labels, measure_supervised
from worker.simclr.evaluation.steps import Steps

TRAINING_COST = 3
"""A forward and backward pass costs about three times a forward pass."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation, to be done now or later.

    ``cost`` is in forward passes of one image. ``settings`` are the fields of the config's section that it depends on,
    as JSON values; ``of_trained`` says whether it depends on the trained weights too.
    """

    name: str
    cost: float
    settings: dict[str, Any]
    of_trained: bool
    measure: Callable[[], Steps[Measured]]

    def key(self, experiment: Experiment, weights_sha256: str) -> str:
        """Hash of all that the result depends on: a kept result of the same key need not be measured again."""
        weights = weights_sha256 if self.of_trained else None
        parts = [self.name, self.settings, experiment.fingerprint, weights]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def evaluation_cost(experiment: Experiment) -> float:
    """What all evaluations of the config cost together, in forward passes of one image."""
    return sum(evaluation.cost for evaluation in planned(experiment))


def planned(experiment: Experiment) -> list[Evaluation]:
    """The evaluations that the config asks for, in the order in which they are done: the quick and usual ones first.

    Where the run's own images have no labels only those on other datasets remain.
    """
    bench = Bench(experiment)
    if len(bench.dataset.train.labels) == 0:
        return [*_transfer(bench)]
    return [*_always(bench), *_maps(bench), *_transfer(bench), *_with_labels(bench)]


def _always(bench: Bench) -> Iterator[Evaluation]:
    config = bench.config.evaluation
    images = len(bench.dataset.train.labels) + len(bench.dataset.test.labels)
    settings = config.model_dump(mode="json", include={"knn_neighbors", "linear"})
    pairs = 2 * min(MOST_PAIRS, len(bench.dataset.test.labels))
    trained = settings | {"on_z": config.on_z}
    yield Evaluation("trained", images + pairs, trained, True, partial(measure_trained, bench))
    if config.untrained_baseline:
        yield Evaluation("untrained", images, settings, False, partial(measure_untrained, bench))


def _maps(bench: Bench) -> Iterator[Evaluation]:
    config = bench.config.evaluation
    train, test = len(bench.dataset.train.labels), len(bench.dataset.test.labels)
    if (projection := config.projection) is not None:
        measure = partial(measure_projection, bench, projection)
        yield Evaluation("projection", test, projection.model_dump(mode="json"), True, measure)
    if (tasks := config.transformations) is not None:
        cost = len(tasks.tasks) * (min(train, MOST_TRANSFORMED) + min(test, MOST_TRANSFORMED))
        measure = partial(measure_transformations, bench, tasks)
        yield Evaluation("transformations", cost, tasks.model_dump(mode="json"), True, measure)


def _transfer(bench: Bench) -> Iterator[Evaluation]:
    config = bench.config.evaluation
    for name in config.transfer.datasets if config.transfer else ():
        other, identity = bench.experiment.transfer[name]
        cost, settings = len(other.train.labels) + len(other.test.labels), {"identity": identity}
        measure = partial(measure_transfer, bench, name, trained=True)
        yield Evaluation(f"transfer_{name}", cost, settings, True, measure)
        if config.untrained_baseline:
            measure = partial(measure_transfer, bench, name, trained=False)
            yield Evaluation(f"untrained_transfer_{name}", cost, settings, False, measure)


def _with_labels(bench: Bench) -> Iterator[Evaluation]:
    config, train = bench.config.evaluation, len(bench.dataset.train.labels)
    if (sgd := config.linear_sgd) is not None:
        cost, settings = sgd.epochs * train, sgd.model_dump(mode="json")
        measure = partial(measure_linear_sgd, bench, sgd, trained=True)
        yield Evaluation("linear_sgd", cost, settings | {"on_z": config.on_z}, True, measure)
        if config.untrained_baseline:
            measure = partial(measure_linear_sgd, bench, sgd, trained=False)
            yield Evaluation("untrained_linear_sgd", cost, settings, False, measure)
    if (semi := config.semi_supervised) is not None:
        for share, epochs in zip(semi.label_shares, semi.epochs, strict=True):
            for pretrained in (True, False) if semi.supervised_baseline else (True,):
                name = few_labels_name(share, pretrained=pretrained)
                fields = semi.model_dump(mode="json", include={"batch_size", "learning_rate"})
                settings = fields | {"share": share, "epochs": epochs}
                measure = partial(measure_few_labels, bench, semi, share, epochs, pretrained=pretrained)
                yield Evaluation(name, TRAINING_COST * epochs * share * train, settings, pretrained, measure)
    if (supervised := config.supervised) is not None:
        epochs = supervised.epochs or bench.config.training.epochs
        settings = supervised.model_dump(mode="json") | {"epochs": epochs}
        measure = partial(measure_supervised, bench, supervised)
        yield Evaluation("supervised", TRAINING_COST * epochs * train, settings, False, measure)
