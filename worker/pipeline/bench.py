"""What the evaluations of one run share, and the form in which each of them gives its results."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from worker.pipeline.build import untrained_model
from worker.pipeline.experiment import Experiment, near
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.data.rows import choose
from worker.simclr.evaluation.representations import Representations, Space
from worker.simclr.evaluation.scores import confusion_matrix, per_class_accuracy, top_k
from worker.simclr.evaluation.supervised import Classifier
from worker.simclr.nets.model import SimCLR
from worker.simclr.randomness import derive_seed, generator

Summary = dict[str, float | int | str | None]

TOP_5_ABOVE = 10
"""Classes above which top-5 accuracy is reported too."""


@dataclass(frozen=True)
class Measured:
    """What an evaluation found.

    ``summary``: results by name. ``details``: what is no single number, by classifier. ``predictions``: the class of
    every test image, by classifier. ``files``: artifacts. ``warnings``: sentences for a person.
    """

    summary: Summary = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, list[int]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __or__(self, other: "Measured") -> "Measured":
        """Both together."""
        return Measured(
            self.summary | other.summary,
            self.details | other.details,
            self.predictions | other.predictions,
            self.files | other.files,
            self.warnings + other.warnings,
        )


def accuracies(classifier: str, scores: Tensor, labels: Tensor) -> Summary:
    """``<classifier>_top1`` of scores (n, C), and ``_top5`` where there are more than ten classes."""
    found: Summary = {f"{classifier}_top1": top_k(scores, labels)}
    if scores.shape[1] > TOP_5_ABOVE:
        found[f"{classifier}_top5"] = top_k(scores, labels, 5)
    return found


def judged(classifier: str, scores: Tensor, labels: Tensor) -> Measured:
    """All that scores (n, C) say: accuracies, confusion matrix, accuracy of each class, and the predictions."""
    predicted = scores.argmax(1)
    confusion = confusion_matrix(predicted, labels, scores.shape[1])
    details = {"confusion_matrix": confusion.tolist(), "per_class_accuracy": per_class_accuracy(confusion)}
    return Measured(accuracies(classifier, scores, labels), {classifier: details}, {classifier: predicted.tolist()})


class Bench:
    """The nets of one run, each frozen and with its features kept, and the training images near the device."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.config, self.device = experiment, experiment.config, experiment.device
        self.dataset = experiment.dataset
        self.classes = len(self.dataset.classes)
        self.trained = self.representations(experiment.learner.model, self.dataset)

    @cached_property
    def untrained(self) -> Representations:
        """The net as it was at step 0."""
        return self.representations(self._at_step_0(), self.dataset)

    def _at_step_0(self) -> SimCLR:
        return untrained_model(self.config, self.device, self.trained.model.encoder.in_channels)

    @cached_property
    def train(self) -> Images:
        """The training images, on the device where they fit."""
        return self.near(self.dataset.train)

    def near(self, images: Images) -> Images:
        """Images on the device where they fit into half of its free memory."""
        return Images(near(images.pixels, self.device), images.labels)

    def representations(self, model: SimCLR, dataset: ImageDataset) -> Representations:
        """h and z of a dataset by a net, at the size and precision of the run."""
        recipe = self.experiment.recipe
        return Representations(model, dataset, image_size=recipe.image_size, precision=recipe.precision)

    def classifier(self, *, pretrained: bool) -> Classifier:
        """A net of its own to train with labels: from the pretrained weights, or from those of step 0."""
        encoder = self._at_step_0().encoder
        if pretrained:
            encoder.load_state_dict(self.trained.model.encoder.state_dict())
        return Classifier(encoder, encoder.feature_dim, self.classes)

    def seed_for(self, use: str) -> int:
        """The seed of one use, from which its (step, use) follow."""
        return derive_seed(self.config.training.seed, 0, use)

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Where classifiers are put: on h, and on z where the config says so."""
        return ("h", "z") if self.config.evaluation.on_z else ("h",)

    @property
    def all_spaces(self) -> tuple[Space, ...]:
        """h, and z where it is not h itself."""
        return ("h",) if self.config.head.kind == "none" else ("h", "z")

    def some(self, images: Images, most: int, use: str) -> Images:
        """At most so many of these images, chosen by the seed."""
        if len(images.labels) <= most:
            return images
        rng = generator(self.config.training.seed, 0, f"some images for {use}")
        chosen = torch.randperm(len(images.labels), generator=rng)[:most].sort().values
        return Images(choose(images.pixels, chosen), images.labels[chosen])
