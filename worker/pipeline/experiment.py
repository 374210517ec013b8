"""A run without its process: it can be trained, measured, saved and restored, and writes no event."""

import hashlib
import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from backend.contracts.config import ExperimentConfig
from worker.pipeline.build import (
    make_learner,
    make_protocol,
    make_recipe,
    pretraining_pixels,
    used_images,
)
from worker.pipeline.checks import check_evaluation, check_fits
from worker.pipeline.continuation import lasting_part
from worker.pipeline.errors import ConfigError
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.data.rows import Pixels
from worker.simclr.evaluation.protocol import evaluate_knn
from worker.simclr.training.batches import steps_per_epoch
from worker.simclr.training.micro_batch import halved, largest_divisor, rehearse
from worker.simclr.training.pretraining import Report, StepMetrics, pretrain
from worker.simclr.training.team import Team
from worker.wishes import DismissedError

GO_ON, LEAVE = 0, 1


class WrongCheckpointError(ValueError):
    """The checkpoint is of another config or of other images."""


class Experiment:
    """A run: its images, its learner, and where it stands.

    ``identity`` names the images (a pack's hash); a checkpoint of another config or identity is refused.
    ``transfer`` holds the other datasets that the evaluation asks for, each with its identity.
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
        transfer: Mapping[str, tuple[ImageDataset, str | None]] | None = None,
    ) -> None:
        self.team = team or Team()
        self.transfer = dict(transfer or {})
        check_fits(config, dataset, device, processes=self.team.size)
        check_evaluation(config, dataset, {name: other for name, (other, _) in self.transfer.items()})
        self.config, self.device, self.identity = config, device, identity
        self.dataset = used_images(config, dataset)
        self.recipe, self.protocol = make_recipe(config, device), make_protocol(config, device)
        self.pixels = pretraining_pixels(config, self.dataset)
        images, channels = self.pixels.shape[:2]
        self.learner = make_learner(config, device, images=images, in_channels=channels, team=self.team)
        self.is_measuring = False
        self.steps_per_epoch = steps_per_epoch(images, self.recipe.batch_size)
        self.total_steps = self.recipe.total_steps(images)
        self._found_micro_batch_size: int | None = None
        self._epoch_losses: list[float] = []
        self._knn_step = 0
        self._seconds = 0.0

    @property
    def step(self) -> int:
        """Steps of pretraining that are done."""
        return self.learner.step

    @property
    def share(self) -> int:
        """Images of each batch that this process has."""
        return self.recipe.batch_size // self.team.size

    @property
    def micro_batch_size(self) -> int:
        """Images that pass the net at once."""
        return self.recipe.micro_batch_size or self.share

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether this is a moment to save: every few epochs and at the end, after what is measured there."""
        every = self.config.training.checkpoint_every_epochs * self.steps_per_epoch
        return (self.step % every == 0 or self.step == self.total_steps) and not self._is_knn_due

    @property
    def _is_knn_due(self) -> bool:
        every = self.config.evaluation.knn_every_epochs * self.steps_per_epoch
        return every > 0 and self.step % every == 0 and self._knn_step != self.step and self.step < self.total_steps

    def fit_micro_batch(self) -> bool:
        """Where the config leaves it to us, take the largest micro-batch that fits; returns whether it did so.

        It begins with the one that an earlier attempt found, else with all that this process has of a batch, and halves
        until every rank has room. Raises MemoryError where the smallest does not fit.
        """
        if self.config.training.micro_batch_size != "auto":
            return False
        share, found = self.share, self._found_micro_batch_size
        if self.step == self.total_steps:
            self.recipe = replace(self.recipe, micro_batch_size=found)
            return False
        pixels = near(self.pixels, self.device)
        size = largest_divisor(share, found or share) or share
        while True:
            self.recipe = replace(self.recipe, micro_batch_size=size)
            shortage = rehearse(self.learner, pixels, self.recipe, self.team)
            if self.team.all(shortage is None):
                self._found_micro_batch_size = size
                return True
            smaller = halved(share, size)
            if smaller is None:
                raise MemoryError(shortage or "another GPU of the run has too little memory")
            size = smaller

    def pretrain(self) -> Iterator[Report]:
        """Train to the end, reporting as ``worker.simclr.training.pretraining`` does, and while measuring in between.

        In a team every rank trains and all report at the same steps; rank 0 alone measures in between, and what it
        reports meanwhile (``is_measuring``) is its own: the others wait until it goes on. Raises DismissedError on
        them where it does not.
        """
        training = pretrain(self.learner, near(self.pixels, self.device), self.recipe, self.team)
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

    @property
    def facts(self) -> dict[str, float | int | str | None]:
        """What the summary says of the pretraining and of the machine."""
        passed_at_once = self.recipe.micro_batch_size
        return {
            "loss": sum(self._epoch_losses) / len(self._epoch_losses),
            "images_per_second": self.step * self.recipe.batch_size / self._seconds,
            "steps": self.step,
            "pretraining_images": len(self.pixels),
            "train_images": len(self.dataset.train),
            "test_images": len(self.dataset.test),
            "precision": self.recipe.precision,
            "device": device_name(self.device),
            "pack_sha256": self.identity,
            "versions": f"python {platform.python_version()}, torch {torch.__version__}",
        } | ({} if passed_at_once is None else {"micro_batch_size": passed_at_once})

    @property
    def fingerprint(self) -> str:
        """Hash of the images and of the config's ``lasting_part``: what a checkpoint must agree with."""
        text = f"{lasting_part(self.config)}\n{self.identity}"
        return hashlib.sha256(text.encode()).hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, loadable with ``weights_only=True``."""
        return {
            "fingerprint": self.fingerprint,
            "learner": self.learner.state_dict(),
            "micro_batch_size": self._found_micro_batch_size,
            "epoch_losses": list(self._epoch_losses),
            "knn_step": self._knn_step,
            "seconds": self._seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``, also towards more epochs than it was made for.

        Raises WrongCheckpointError where it is of another config or of other images, ConfigError where the config wants
        fewer epochs than it has behind it.
        """
        if state["fingerprint"] != self.fingerprint:
            raise WrongCheckpointError("The checkpoint is of another config or of other images.")
        done: int = state["learner"]["step"]
        if done > self.total_steps:
            raise ConfigError(
                "training.epochs",
                f"is {self.config.training.epochs}, but the run has {done / self.steps_per_epoch:g} epochs behind it: "
                "it can be given more, not fewer.",
            )
        self.learner.load_state_dict(state["learner"])
        self._found_micro_batch_size = state["micro_batch_size"]
        self._epoch_losses = list(state["epoch_losses"])
        self._knn_step = state["knn_step"]
        self._seconds = state["seconds"]


def near(pixels: Pixels, device: torch.device) -> Pixels:
    """The pixels on the device where they fit into half of its free memory, else where they are."""
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return pixels.to(device)
    return pixels


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's kind."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
