"""Contrastive pretraining (algorithm 1) as a generator: the caller decides what happens between two of its reports.

The caller may measure, save or stop at every report. All that a step depends on is the learner's state and (seed,
step), so a learner restored from a checkpoint goes on bit for bit on the CPU.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.views import Branches, plan_views
from worker.simclr.data.rows import Pixels
from worker.simclr.losses.contrastive import ContrastiveLoss
from worker.simclr.nets.model import SimCLR
from worker.simclr.precision import Precision, autocast
from worker.simclr.training.batches import steps_per_epoch
from worker.simclr.training.feed import Feed
from worker.simclr.training.gradient_cache import cached_z, micro_batches, replay
from worker.simclr.training.optimizers import set_learning_rate
from worker.simclr.training.schedule import learning_rate
from worker.simclr.training.team import Team

POINTS_PER_RUN = 2000
"""About as many points as a curve can show; a run of fewer steps reports every step."""
SECONDS_BETWEEN_READS = 0.25
"""A GPU runs ahead of its processor; to read a loss is to wait for it. A wish to stop waits no longer than this."""

Loss = Callable[[Tensor, Tensor | None], ContrastiveLoss]
"""Of z (2N, D), first views and then second views, and the rows that count as anchors (None: all); see ``losses``."""


_TO_CONVERGE = "Lower optimizer.learning_rate, lengthen optimizer.warmup_epochs, or raise loss.temperature."


class DivergedError(ArithmeticError):
    """The loss or a weight is no longer a finite number."""


@dataclass(frozen=True)
class Recipe:
    """How to pretrain: everything but the net and the images."""

    ops: tuple[Op, ...]
    branches: Branches
    image_size: int
    loss: Loss
    peak_learning_rate: float
    warmup_epochs: float
    epochs: int
    batch_size: int
    precision: Precision
    seed: int
    micro_batch_size: int | None = None

    def total_steps(self, images: int) -> int:
        """Steps of the whole run over this many images."""
        return self.epochs * steps_per_epoch(images, self.batch_size)

    def warmup_steps(self, images: int) -> int:
        """Steps of the warm-up, at most all."""
        per_epoch = steps_per_epoch(images, self.batch_size)
        return min(round(self.warmup_epochs * per_epoch), self.total_steps(images))


class Learner:
    """What pretraining changes: the net, the optimiser, and how many steps are done.

    ``forward`` is the net as the step calls it, perhaps compiled; its weights are the model's.
    """

    def __init__(self, model: SimCLR, optimizer: Optimizer, *, compiled: bool = False) -> None:
        self.model, self.optimizer, self.step = model, optimizer, 0
        self.forward: Callable[[Tensor], Tensor] = torch.compile(model) if compiled else model

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors, numbers and lists."""
        return {"step": self.step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def check_finite(self) -> None:
        """Raise DivergedError where the last step left weights or statistics that no step can go on from.

        Its loss was that of the weights before it, so the loss does not tell yet.
        """
        values = [tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point()]
        if not torch.stack([value.isfinite().all() for value in values]).all():
            raise DivergedError(f"The weights are no longer finite after step {self.step}. {_TO_CONVERGE}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``, which must be of the same architecture and optimiser."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


@dataclass(frozen=True)
class StepMetrics:
    """What was measured at a step (``step`` steps are done)."""

    step: int
    epoch: float
    values: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Training has come to ``step``. ``losses`` are those of the steps since the last report, which took ``seconds``.

    ``metrics`` holds those of them that are reported (see ``is_reported``).
    """

    step: int
    losses: tuple[float, ...] = ()
    seconds: float = 0.0
    metrics: tuple[StepMetrics, ...] = ()


def is_reported(step: int, total_steps: int) -> bool:
    """Whether the metrics after this many steps are reported: every k-th and the last, by step and never by time."""
    return step % max(1, math.ceil(total_steps / POINTS_PER_RUN)) == 0 or step == total_steps


def train_step(
    learner: Learner, views: Callable[[slice], Tensor], rate: float, recipe: Recipe, team: Team | None = None
) -> Tensor:
    """One update; returns loss, contrastive accuracy and entropy of the whole batch: (3,), on the device.

    ``views`` gives the two views (2m, C, S, S) of the images in some rows of the batch, first views first. They go
    through the net in one pass: two passes would change the batch statistics.
    """
    team = team or Team()
    device = next(learner.model.parameters()).device
    parts = micro_batches(team.share(recipe.batch_size), recipe.micro_batch_size)

    def forward(rows: slice) -> Tensor:
        drawn = views(rows).contiguous(memory_format=torch.channels_last)
        with autocast(recipe.precision, device):
            return learner.forward(drawn).float()

    learner.model.train()
    set_learning_rate(learner.optimizer, rate)
    learner.optimizer.zero_grad(set_to_none=True)
    z = forward(parts[0]) if len(parts) == 1 else cached_z(learner.model, forward, parts)
    result = recipe.loss(team.gather(z), team.anchors(recipe.batch_size, device))
    result.loss.backward()
    if len(parts) > 1 and z.grad is not None:
        replay(forward, parts, z.grad)
    team.sum_gradients(learner.model)
    learner.optimizer.step()
    learner.step += 1
    return team.sum(torch.stack([result.loss.detach(), result.accuracy, result.entropy]))


def pretrain(learner: Learner, pixels: Pixels, recipe: Recipe, team: Team | None = None) -> Iterator[Report]:
    """Train from ``learner.step`` to the end on pixels uint8 (n, C, H, W), which may lie on another device.

    Yields after every step on the CPU; on a GPU a few times a second and after the last step of every epoch.
    All ranks of a team yield at the same steps. Raises DivergedError where the loss of a step since the last report
    is not finite, before any of it is reported.
    """
    team = team or Team()
    total, per_epoch = recipe.total_steps(len(pixels)), steps_per_epoch(len(pixels), recipe.batch_size)
    device = next(learner.model.parameters()).device
    reader = _Reader(recipe, total, per_epoch)
    with Feed(pixels, recipe.batch_size, recipe.seed, device, team.share(recipe.batch_size)) as feed:
        while learner.step < total:
            rate = _rate(learner.step, recipe, len(pixels))
            reader.add(train_step(learner, step_views(learner.step, feed, recipe), rate, recipe, team), rate)
            is_due = device.type == "cpu" or learner.step % per_epoch == 0 or reader.age > SECONDS_BETWEEN_READS
            if team.agree(int(is_due)):
                yield reader.read(learner.step)


def _rate(step: int, recipe: Recipe, images: int) -> float:
    return learning_rate(
        step,
        total_steps=recipe.total_steps(images),
        warmup_steps=recipe.warmup_steps(images),
        peak=recipe.peak_learning_rate,
    )


def step_views(step: int, feed: Feed, recipe: Recipe) -> Callable[[slice], Tensor]:
    """The views of some rows of this step's batch. A row's views are the same, whichever rows they are drawn with."""
    mine, start = feed.batch(step), feed.rows.start
    plan = plan_views(
        recipe.ops,
        batch_size=recipe.batch_size,
        height=mine.shape[2],
        width=mine.shape[3],
        image_size=recipe.image_size,
        branches=recipe.branches,
        seed=recipe.seed,
        step=step,
    )
    return lambda rows: plan.views(mine[rows.start - start : rows.stop - start], rows)


class _Reader:
    """Keeps what steps measured on the device, until it is read all at once."""

    def __init__(self, recipe: Recipe, total: int, per_epoch: int) -> None:
        self._recipe, self._total, self._per_epoch = recipe, total, per_epoch
        self._kept: list[tuple[Tensor, float]] = []
        self._since = self._metric_since = time.perf_counter()
        self._metric_steps = 0

    @property
    def age(self) -> float:
        """Seconds since the last reading."""
        return time.perf_counter() - self._since

    def add(self, measured: Tensor, rate: float) -> None:
        """Keep what a step measured, (3,) on the device, and its learning rate."""
        self._kept.append((measured, rate))

    def read(self, step: int) -> Report:
        """Wait for the device and report the steps up to ``step``. Raises DivergedError."""
        values = torch.stack([measured for measured, _ in self._kept]).tolist()
        now = time.perf_counter()
        first = step - len(values) + 1
        metrics: list[StepMetrics] = []
        for number, ((loss, accuracy, entropy), (_, rate)) in enumerate(zip(values, self._kept, strict=True), first):
            if not math.isfinite(loss):
                raise DivergedError(
                    f"The loss became {loss} at step {number} of {self._total} (learning rate {rate:.4g}). {_TO_CONVERGE}"
                )
            self._metric_steps += 1
            if is_reported(number, self._total):
                found = {
                    "loss": loss,
                    "contrastive_accuracy": accuracy,
                    "contrastive_entropy": entropy,
                    "learning_rate": rate,
                }
                metrics.append(StepMetrics(number, number / self._per_epoch, found))
        if metrics:
            speed = self._metric_steps * self._recipe.batch_size / (now - self._metric_since)
            for one in metrics:
                one.values["images_per_second"] = speed
            self._metric_since, self._metric_steps = now, 0
        report = Report(step, tuple(loss for loss, *_ in values), now - self._since, tuple(metrics))
        self._kept.clear()
        self._since = time.perf_counter()
        return report
