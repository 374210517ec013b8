"""Evaluations of a frozen net. Each yields the share done and returns what it measured."""

import torch
from torch import Tensor

from backend.contracts.evaluation import LinearSgdConfig, TransformationConfig
from worker.pipeline.bench import Bench, Measured, Summary, accuracies, judged
from worker.simclr.augmentation.views import two_views
from worker.simclr.evaluation.features import encode, project
from worker.simclr.evaluation.geometry import alignment, find_collapse, uniformity
from worker.simclr.evaluation.knn import knn_scores
from worker.simclr.evaluation.linear import fit_with_chosen_penalty
from worker.simclr.evaluation.linear_sgd import train_probes
from worker.simclr.evaluation.protocol import PROBE_AUGMENTATION
from worker.simclr.evaluation.representations import Representations, Space
from worker.simclr.evaluation.steps import Steps, scaled
from worker.simclr.evaluation.supervised import CROP_AND_FLIP, SupervisedRecipe
from worker.simclr.evaluation.transformations import (
    OUTCOMES,
    Labelled,
    Task,
    draw_outcomes,
    mlp_accuracy,
    transformed_features,
)

MOST_PAIRS = 5000
"""Test images whose two views are compared: alignment and uniformity are means, which more would not change."""
MOST_TRANSFORMED = 20_000
"""Training images, and test images, of each task of Table 3."""
_PREFIX: dict[Space, str] = {"h": "", "z": "z_"}


def measure_trained(bench: Bench) -> Steps[Measured]:
    """kNN and linear accuracy on h (and z), with predictions, and the geometry of the representation."""
    labels = bench.dataset.test.labels
    found = Measured()
    for index, space in enumerate(bench.spaces):
        probing = _probe(bench, bench.trained, space)
        scores, summary = yield from scaled(probing, 0.9 * index / len(bench.spaces), 0.9 / len(bench.spaces))
        found |= Measured(summary)
        for name, of_classifier in scores.items():
            found |= judged(name, of_classifier, labels)
    found |= yield from scaled(_geometry(bench), 0.9, 0.1)
    facts: Summary = {"probe_augmentation": PROBE_AUGMENTATION}
    if bench.config.evaluation.linear:
        facts["linear_l2_chosen_on"] = "a random fifth of the training images"
    return found | Measured(facts)


def measure_untrained(bench: Bench) -> Steps[Measured]:
    """kNN and linear accuracy on h of the net as it was at step 0: what training is to be compared with."""
    scores, _ = yield from _probe(bench, bench.untrained, "h")
    summary: Summary = {}
    for name, of_classifier in scores.items():
        summary |= accuracies(f"untrained_{name}", of_classifier, bench.dataset.test.labels)
    return Measured(summary)


def _probe(bench: Bench, net: Representations, space: Space) -> Steps[tuple[dict[str, Tensor], Summary]]:
    """Scores (n, C) of all test images by kNN and by the linear classifier (where asked for), and facts about them."""
    evaluation, prefix = bench.config.evaluation, _PREFIX[space]
    labels = bench.dataset.train.labels
    train = yield from scaled(net.of(space, "train"), 0, 0.5)
    test = yield from scaled(net.of(space, "test"), 0.5, 0.1)
    voting = knn_scores((train, labels), test, neighbors=evaluation.knn_neighbors, classes=bench.classes)
    scores = {f"{prefix}knn": (yield from scaled(voting, 0.6, 0.1))}
    facts: Summary = {f"{prefix or 'feature_'}dim": train.shape[1]}
    if evaluation.linear:
        fitting = fit_with_chosen_penalty(train, labels, classes=bench.classes, seed=bench.config.training.seed)
        classifier, l2 = yield from scaled(fitting, 0.7, 0.3)
        scores[f"{prefix}linear"] = classifier.logits(test)
        facts[f"{prefix}linear_l2"] = l2
    return scores, facts


def _geometry(bench: Bench) -> Steps[Measured]:
    """Alignment and uniformity of two views of test images, effective rank of h, and whether it has collapsed."""
    recipe, model = bench.experiment.recipe, bench.trained.model
    seed = bench.seed_for("views of test images")

    def pairs(part: Tensor, start: int) -> Tensor:
        """Two views of each image, one after the other."""
        views = two_views(
            part, recipe.ops, image_size=recipe.image_size, branches=recipe.branches, seed=seed, step=start
        )
        return torch.stack(views.chunk(2), dim=1).flatten(0, 1)

    shown = bench.some(bench.dataset.test, MOST_PAIRS, "geometry").pixels
    h = yield from scaled(encode(model.encoder, shown, pairs, recipe.precision), 0, 0.8)
    summary: Summary = {}
    for space in bench.all_spaces:
        views = h if space == "h" else project(model.head, h)
        first, second = views[0::2], views[1::2]
        summary[f"{_PREFIX[space]}alignment"] = alignment(first, second)
        summary[f"{_PREFIX[space]}uniformity"] = (uniformity(first) + uniformity(second)) / 2
    test = yield from scaled(bench.trained.of("h", "test"), 0.8, 0.2)
    collapse = find_collapse(test, project(model.head, test))
    summary |= {"effective_rank": collapse.effective_rank, "collapsed": int(collapse.is_collapsed)}
    return Measured(summary, warnings=(collapse.warning,) if collapse.is_collapsed else ())


def measure_linear_sgd(bench: Bench, section: LinearSgdConfig, *, trained: bool) -> Steps[Measured]:
    """The paper's linear evaluation: SGD on the frozen net's h (and z) of cropped and flipped training images.

    Without ``trained`` on h of the net as it was at step 0.
    """
    net = bench.trained if trained else bench.untrained
    spaces: tuple[Space, ...] = bench.spaces if trained else ("h",)
    recipe = SupervisedRecipe(
        name="the linear classifier (evaluation.linear_sgd)",
        ops=CROP_AND_FLIP,
        image_size=bench.experiment.recipe.image_size,
        epochs=section.epochs,
        batch_size=section.batch_size,
        base_learning_rate=section.learning_rate,
        weight_decay=0.0,
        precision=bench.experiment.recipe.precision,
        seed=bench.seed_for("linear_sgd"),
    )
    probes = yield from scaled(train_probes(net.model, bench.train, spaces, recipe, classes=bench.classes), 0, 0.95)
    labels = bench.dataset.test.labels
    found = Measured({"linear_sgd_augmentation": "random crop and flip in training, none in testing"})
    for space, probe in probes.items():
        test = yield from scaled(net.of(space, "test"), 0.95, 0.05)
        with torch.no_grad():
            scores = probe(test)
        name = f"{_PREFIX[space]}linear_sgd"
        found |= judged(name, scores, labels) if trained else Measured(accuracies(f"untrained_{name}", scores, labels))
    return found


def measure_transfer(bench: Bench, name: str, *, trained: bool) -> Steps[Measured]:
    """Linear accuracy on another dataset's own splits, on h of this frozen net (appendix B.8)."""
    dataset, _ = bench.experiment.transfer[name]
    net = bench.representations((bench.trained if trained else bench.untrained).model, dataset)
    classifier = f"{'' if trained else 'untrained_'}transfer_{name}_linear"
    train = yield from scaled(net.of("h", "train"), 0, 0.5)
    test = yield from scaled(net.of("h", "test"), 0.5, 0.2)
    seed, labels = bench.config.training.seed, dataset.train.labels
    fitting = fit_with_chosen_penalty(train, labels, classes=len(dataset.classes), seed=seed)
    found, l2 = yield from scaled(fitting, 0.7, 0.3)
    facts: Summary = {f"{classifier}_l2": l2} if trained else {}
    return Measured(accuracies(classifier, found.logits(test), dataset.test.labels) | facts)


def measure_transformations(bench: Bench, section: TransformationConfig) -> Steps[Measured]:
    """How well h and z tell which transformation was applied to an image (Table 3)."""
    summary: Summary = {}
    share = 1 / len(section.tasks)
    for index, task in enumerate(section.tasks):
        summary |= yield from scaled(_transformation(bench, task), index * share, share)
    return Measured(summary)


def _transformation(bench: Bench, task: Task) -> Steps[Summary]:
    model, recipe = bench.trained.model, bench.experiment.recipe
    splits: list[Labelled] = []
    for images, split, start, share in ((bench.dataset.train, "train", 0, 0.4), (bench.dataset.test, "test", 0.4, 0.1)):
        seed = bench.seed_for(f"transformations {split}")
        pixels = bench.some(images, MOST_TRANSFORMED, f"transformations {split}").pixels
        outcomes = draw_outcomes(task, len(pixels), seed)
        size, precision = recipe.image_size, recipe.precision
        extracting = transformed_features(
            model.encoder, pixels, task, outcomes, image_size=size, precision=precision, seed=seed
        )
        splits.append(Labelled((yield from scaled(extracting, start, share)), outcomes))
    told = splits[1].outcomes
    found: Summary = {f"transformation_{task}_chance": int(told.bincount().max()) / len(told)}
    for index, space in enumerate(bench.all_spaces):
        train, test = (each if space == "h" else each.projected(model.head) for each in splits)
        learning = mlp_accuracy(train, test, outcomes=OUTCOMES[task], seed=bench.seed_for("transformation MLP"))
        share = 0.5 / len(bench.all_spaces)
        found[f"transformation_{task}_{space}"] = yield from scaled(learning, 0.5 + index * share, share)
    return found
