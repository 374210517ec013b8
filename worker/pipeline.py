"""From a config to science objects: the one module that knows both.

``Experiment`` is a run without its process: it can be trained, measured, saved and restored, and writes no event.
"""

import hashlib
import platform
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.contracts.config import AugmentationOp, ExperimentConfig
from worker.simclr.augmentation.blur import Blur
from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.views import Op, two_views
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.evaluation.protocol import PROBE_AUGMENTATION, Evaluation, Protocol, evaluate, evaluate_knn, scaled
from worker.simclr.nets.model import Architecture, SimCLR, build_model
from worker.simclr.precision import choose_precision
from worker.simclr.training.batches import BatchOrder, steps_per_epoch, train_subset
from worker.simclr.training.optimizers import build_optimizer
from worker.simclr.training.pretraining import Learner, Recipe, StepReport, pretrain


class ConfigError(ValueError):
    """The config is valid by itself but does not fit these images or this machine. ``field`` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class WrongCheckpointError(ValueError):
    """The checkpoint is of another config or of other images."""


def check_fits(config: ExperimentConfig, dataset: ImageDataset, device: torch.device) -> None:
    """Raise ConfigError, naming the field, where the config cannot be run on these images and this device."""
    images, tests = len(dataset.train.labels), len(dataset.test.labels)
    subset = config.dataset.train_subset
    if config.resources.gpus > 0 and device.type != "cuda":
        raise ConfigError("resources.gpus", f"{config.resources.gpus} asked for, but this worker has no GPU.")
    if dataset.train.pixels.shape[1] != 3:
        raise ConfigError("dataset.name", f"the images have {dataset.train.pixels.shape[1]} channels instead of 3.")
    if tests == 0:
        raise ConfigError("dataset.name", "there is no test image to evaluate on.")
    if subset is not None and subset > images:
        raise ConfigError("dataset.train_subset", f"is {subset}, but there are only {images} training images.")
    images = subset or images
    if config.training.batch_size > images:
        raise ConfigError(
            "training.batch_size", f"is {config.training.batch_size}, more than the {images} training images."
        )
    if config.evaluation.knn_neighbors > images:
        raise ConfigError(
            "evaluation.knn_neighbors", f"is {config.evaluation.knn_neighbors}, more than the {images} training images."
        )


def science_op(op: AugmentationOp) -> Op:
    """The transformation that a config's entry describes."""
    fields = op.model_dump(exclude={"name"})
    match op.name:
        case "crop":
            return Crop(**fields)
        case "flip":
            return Flip(**fields)
        case "color":
            return Color(**fields)
        case "blur":
            return Blur(**fields)


def make_recipe(config: ExperimentConfig, device: torch.device) -> Recipe:
    """How to pretrain."""
    return Recipe(
        ops=tuple(science_op(op) for op in config.augmentation.ops),
        branches=config.augmentation.branches,
        image_size=config.dataset.image_size,
        temperature=config.loss.temperature,
        peak_learning_rate=config.peak_learning_rate,
        warmup_epochs=config.optimizer.warmup_epochs,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        precision=choose_precision(config.training.precision, device),
        seed=config.training.seed,
    )


def make_protocol(config: ExperimentConfig, device: torch.device) -> Protocol:
    """How to evaluate."""
    return Protocol(
        image_size=config.dataset.image_size,
        precision=choose_precision(config.training.precision, device),
        neighbors=config.evaluation.knn_neighbors,
        linear=config.evaluation.linear,
        seed=config.training.seed,
    )


def untrained_model(config: ExperimentConfig, device: torch.device) -> SimCLR:
    """The net as it is at step 0 of the run."""
    architecture = Architecture(
        arch=config.encoder.arch,
        width=config.encoder.width,
        stem=config.encoder.stem,
        head=config.head.kind,
        hidden_dim=config.head.hidden_dim,
        output_dim=config.head.output_dim,
    )
    return build_model(architecture, config.training.seed, device)


def make_learner(config: ExperimentConfig, device: torch.device) -> Learner:
    """The untrained net and its optimiser."""
    model = untrained_model(config, device)
    optimizer = build_optimizer(
        config.optimizer.name,
        model,
        weight_decay=config.optimizer.weight_decay,
        momentum=config.optimizer.momentum,
    )
    return Learner(model, optimizer)


def used_images(config: ExperimentConfig, dataset: ImageDataset) -> ImageDataset:
    """The dataset with the training images that the config asks for."""
    size = config.dataset.train_subset
    if size is None or size >= len(dataset.train.labels):
        return dataset
    chosen = train_subset(len(dataset.train.labels), size, config.training.seed)
    train = Images(dataset.train.pixels[chosen], dataset.train.labels[chosen])
    return ImageDataset(train, dataset.test, dataset.classes)


@dataclass(frozen=True)
class Views:
    """Some images and the two views of each: uint8 (B, 3, H, W), twice (B, 3, S, S), and labels (B,)."""

    originals: Tensor
    first: Tensor
    second: Tensor
    labels: Tensor


def preview_views(config: ExperimentConfig, dataset: ImageDataset, *, images: int, step: int) -> Views:
    """The views that step ``step`` (from 0) of the run will see, of the first ``images`` images of its batch.

    Raises ConfigError where the config does not fit the images.
    """
    device = torch.device("cpu")
    check_fits(config.model_copy(update={"resources": type(config.resources)()}), dataset, device)
    dataset = used_images(config, dataset)
    recipe = make_recipe(config, device)
    batch = BatchOrder(len(dataset.train.labels), recipe.batch_size, recipe.seed).batch(step)
    pixels = dataset.train.pixels[batch]
    views = two_views(
        pixels, recipe.ops, image_size=recipe.image_size, branches=recipe.branches, seed=recipe.seed, step=step
    )
    first, second = views.mul(255).round().clamp(0, 255).to(torch.uint8).chunk(2)
    shown = slice(0, images)
    return Views(pixels[shown], first[shown], second[shown], dataset.train.labels[batch][shown])


class Experiment:
    """A run: its images, its learner, and where it stands.

    ``identity`` names the images (a pack's hash); a checkpoint of another config or identity is refused.
    Raises ConfigError where the config does not fit.
    """

    def __init__(
        self, config: ExperimentConfig, dataset: ImageDataset, device: torch.device, *, identity: str | None = None
    ) -> None:
        check_fits(config, dataset, device)
        self.config, self.device, self.identity = config, device, identity
        self.dataset = used_images(config, dataset)
        self.recipe, self.protocol = make_recipe(config, device), make_protocol(config, device)
        self.learner = make_learner(config, device)
        images = len(self.dataset.train.labels)
        self.steps_per_epoch = steps_per_epoch(images, self.recipe.batch_size)
        self.total_steps = self.recipe.total_steps(images)
        self._epoch_losses: list[float] = []
        self._knn_step = 0
        self._seconds = 0.0

    @property
    def step(self) -> int:
        """Steps of pretraining that are done."""
        return self.learner.step

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether this is a moment to save: every few epochs and at the end, after what is measured there."""
        every = self.config.training.checkpoint_every_epochs * self.steps_per_epoch
        return (self.step % every == 0 or self.step == self.total_steps) and not self._is_knn_due

    @property
    def _is_knn_due(self) -> bool:
        every = self.config.evaluation.knn_every_epochs * self.steps_per_epoch
        return every > 0 and self.step % every == 0 and self._knn_step != self.step and self.step < self.total_steps

    def pretrain(self) -> Iterator[StepReport]:
        """Train to the end, yielding after every step, and also (without values) while measuring in between."""
        training = pretrain(self.learner, _near(self.dataset.train.pixels, self.device), self.recipe)
        while True:
            if self._is_knn_due and self.step > 0:
                yield from self._measure_knn()
            report = next(training, None)
            if report is None:
                return
            if (report.step - 1) % self.steps_per_epoch == 0:
                self._epoch_losses.clear()
            self._epoch_losses.append(report.loss)
            self._seconds += report.seconds
            yield report

    def _measure_knn(self) -> Iterator[StepReport]:
        measuring = evaluate_knn(self.learner.model.encoder, self.dataset, self.protocol)
        epoch = self.step / self.steps_per_epoch
        while True:
            try:
                next(measuring)
            except StopIteration as stop:
                self._knn_step = self.step
                yield StepReport(self.step, epoch, self._epoch_losses[-1], 0.0, {"knn_top1": stop.value})
                return
            yield StepReport(self.step, epoch, self._epoch_losses[-1], 0.0, {})

    def evaluate(self) -> Generator[float, None, dict[str, float | int | str | None]]:
        """Evaluate the encoder and, for comparison, the untrained one; yields the share done, returns the summary."""
        baseline = self.config.evaluation.untrained_baseline
        encoder = self.learner.model.encoder
        before = state_sha256(encoder)
        share = 0.5 if baseline else 1.0
        trained = yield from scaled(evaluate(encoder, self.dataset, self.protocol), 0, share)
        after = state_sha256(encoder)
        untrained: Evaluation | None = None
        if baseline:
            start = untrained_model(self.config, self.device).encoder
            untrained = yield from scaled(evaluate(start, self.dataset, self.protocol), share, 1 - share)
        summary: dict[str, float | int | str | None] = {
            "knn_top1": trained.knn_top1,
            "loss": sum(self._epoch_losses) / len(self._epoch_losses),
            "images_per_second": self.step * self.recipe.batch_size / self._seconds,
            "steps": self.step,
            "feature_dim": trained.feature_dim,
            "train_images": len(self.dataset.train.labels),
            "test_images": trained.test_images,
            "probe_augmentation": PROBE_AUGMENTATION,
            "encoder_sha256_before_evaluation": before,
            "encoder_sha256_after_evaluation": after,
            "precision": self.recipe.precision,
            "device": _device_name(self.device),
            "pack_sha256": self.identity,
            "versions": f"python {platform.python_version()}, torch {torch.__version__}",
        }
        if trained.linear:
            summary |= {"linear_top1": trained.linear.accuracy, "linear_l2": trained.linear.l2}
        if untrained:
            summary["untrained_knn_top1"] = untrained.knn_top1
            if untrained.linear:
                summary["untrained_linear_top1"] = untrained.linear.accuracy
        return summary

    @property
    def fingerprint(self) -> str:
        """Hash of the config and the images: what a checkpoint must agree with."""
        text = f"{self.config.model_dump_json()}\n{self.identity}"
        return hashlib.sha256(text.encode()).hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, loadable with ``weights_only=True``."""
        return {
            "fingerprint": self.fingerprint,
            "learner": self.learner.state_dict(),
            "epoch_losses": list(self._epoch_losses),
            "knn_step": self._knn_step,
            "seconds": self._seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``. Raises WrongCheckpointError where it is of another config or of other images."""
        if state["fingerprint"] != self.fingerprint:
            raise WrongCheckpointError("The checkpoint is of another config or of other images.")
        self.learner.load_state_dict(state["learner"])
        self._epoch_losses = list(state["epoch_losses"])
        self._knn_step = state["knn_step"]
        self._seconds = state["seconds"]


def _near(pixels: Tensor, device: torch.device) -> Tensor:
    """The pixels on the device where they fit into half of its free memory, else where they are."""
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return pixels.to(device)
    return pixels


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
