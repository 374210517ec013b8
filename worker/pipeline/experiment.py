"""A run without its process: it can be trained, measured, saved and restored, and writes no event."""

import hashlib
import platform
from collections.abc import Generator, Iterator
from typing import Any

import torch

from backend.contracts.config import ExperimentConfig
from worker.pipeline.build import (
    make_learner,
    make_protocol,
    make_recipe,
    pretraining_pixels,
    untrained_model,
    used_images,
)
from worker.pipeline.checks import check_fits
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.data.rows import Pixels
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.evaluation.protocol import PROBE_AUGMENTATION, Evaluation, evaluate, evaluate_knn, scaled
from worker.simclr.training.batches import steps_per_epoch
from worker.simclr.training.pretraining import Report, StepMetrics, pretrain
from worker.simclr.training.team import Team
from worker.wishes import DismissedError

GO_ON, LEAVE = 0, 1


class WrongCheckpointError(ValueError):
    """The checkpoint is of another config or of other images."""


class Experiment:
    """A run: its images, its learner, and where it stands.

    ``identity`` names the images (a pack's hash); a checkpoint of another config or identity is refused.
    Raises ConfigError where the config does not fit.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        dataset: ImageDataset,
        device: torch.device,
        *,
        identity: str | None = None,
        team: Team | None = None,
    ) -> None:
        self.team = team or Team()
        check_fits(config, dataset, device, processes=self.team.size)
        self.config, self.device, self.identity = config, device, identity
        self.dataset = used_images(config, dataset)
        self.recipe, self.protocol = make_recipe(config, device), make_protocol(config, device)
        self.pixels = pretraining_pixels(config, self.dataset)
        images, channels = self.pixels.shape[:2]
        self.learner = make_learner(config, device, images=images, in_channels=channels, team=self.team)
        self.is_measuring = False
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

    def pretrain(self) -> Iterator[Report]:
        """Train to the end, reporting as ``worker.simclr.training.pretraining`` does, and while measuring in between.

        In a team every rank trains and all report at the same steps; rank 0 alone measures in between, and what it
        reports meanwhile (``is_measuring``) is its own: the others wait until it goes on. Raises DismissedError on
        them where it does not.
        """
        training = pretrain(self.learner, _near(self.pixels, self.device), self.recipe, self.team)
        while True:
            if self._is_knn_due and self.step > 0:
                if self.team.is_chief:
                    yield from self._measure_knn()
                self._knn_step = self.step
                if self.team.agree(GO_ON) != GO_ON:
                    raise DismissedError
            report = next(training, None)
            if report is None:
                return
            for step, loss in enumerate(report.losses, report.step - len(report.losses) + 1):
                if (step - 1) % self.steps_per_epoch == 0:
                    self._epoch_losses.clear()
                self._epoch_losses.append(loss)
            self._seconds += report.seconds
            yield report

    def _measure_knn(self) -> Iterator[Report]:
        self.is_measuring = True
        measuring = evaluate_knn(self.learner.model.encoder, self.dataset, self.protocol)
        while True:
            try:
                next(measuring)
            except StopIteration as stop:
                found = {"knn_top1": stop.value}
                break
            yield Report(self.step)
        self._knn_step = self.step
        yield Report(self.step, metrics=(StepMetrics(self.step, self.step / self.steps_per_epoch, found),))
        self.is_measuring = False

    def goes_on_alone(self) -> bool:
        """After pretraining: the team parts, and its chief evaluates alone. Whether this process is the one."""
        is_chief = self.team.is_chief
        self.team.leave()
        self.team = Team()
        return is_chief

    def dismiss(self) -> None:
        """On rank 0, where it ends while it measures: tell the others, who wait."""
        if self.is_measuring:
            self.team.agree(LEAVE)

    def evaluate(self) -> Generator[float, None, dict[str, float | int | str | None]]:
        """Evaluate the encoder and, for comparison, the untrained one; yields the share done, returns the summary."""
        baseline = self.config.evaluation.untrained_baseline
        encoder = self.learner.model.encoder
        before = state_sha256(encoder)
        share = 0.5 if baseline else 1.0
        trained: Evaluation | None = None
        if self.dataset.has_labels:
            trained = yield from scaled(evaluate(encoder, self.dataset, self.protocol), 0, share)
        after = state_sha256(encoder)
        untrained: Evaluation | None = None
        if baseline:
            start = untrained_model(self.config, self.device, self.pixels.shape[1]).encoder
            untrained = yield from scaled(evaluate(start, self.dataset, self.protocol), share, 1 - share)
        summary: dict[str, float | int | str | None] = {
            "loss": sum(self._epoch_losses) / len(self._epoch_losses),
            "images_per_second": self.step * self.recipe.batch_size / self._seconds,
            "steps": self.step,
            "feature_dim": encoder.feature_dim,
            "pretraining_images": len(self.pixels),
            "train_images": len(self.dataset.train),
            "test_images": len(self.dataset.test),
            "encoder_sha256_before_evaluation": before,
            "encoder_sha256_after_evaluation": after,
            "precision": self.recipe.precision,
            "device": _device_name(self.device),
            "pack_sha256": self.identity,
            "versions": f"python {platform.python_version()}, torch {torch.__version__}",
        }
        if trained:
            summary |= {"knn_top1": trained.knn_top1, "probe_augmentation": PROBE_AUGMENTATION}
        if trained and trained.linear:
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


def _near(pixels: Pixels, device: torch.device) -> Pixels:
    """The pixels on the device where they fit into half of its free memory, else where they are."""
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return pixels.to(device)
    return pixels


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
