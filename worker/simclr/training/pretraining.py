"""Contrastive pretraining (algorithm 1) as a generator: one report a step, and the caller decides what happens between.

The caller may measure, save or stop between two steps. All that a step depends on is the learner's state and (seed,
step), so a learner restored from a checkpoint goes on bit for bit on the CPU.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from worker.simclr.augmentation.views import Branches, Op, two_views
from worker.simclr.losses.nt_xent import nt_xent
from worker.simclr.nets.model import SimCLR
from worker.simclr.precision import Precision, autocast
from worker.simclr.training.batches import BatchOrder, steps_per_epoch
from worker.simclr.training.optimizers import set_learning_rate
from worker.simclr.training.schedule import learning_rate

POINTS_PER_RUN = 2000
"""About as many points as a curve can show; a run of fewer steps reports every step."""


class DivergedError(ArithmeticError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Recipe:
    """How to pretrain: everything but the net and the images."""

    ops: tuple[Op, ...]
    branches: Branches
    image_size: int
    temperature: float
    peak_learning_rate: float
    warmup_epochs: float
    epochs: int
    batch_size: int
    precision: Precision
    seed: int

    def total_steps(self, images: int) -> int:
        """Steps of the whole run over this many images."""
        return self.epochs * steps_per_epoch(images, self.batch_size)

    def warmup_steps(self, images: int) -> int:
        """Steps of the warm-up, at most all."""
        per_epoch = steps_per_epoch(images, self.batch_size)
        return min(round(self.warmup_epochs * per_epoch), self.total_steps(images))


@dataclass
class Learner:
    """What pretraining changes: the net, the optimiser, and how many steps are done."""

    model: SimCLR
    optimizer: Optimizer
    step: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors, numbers and lists."""
        return {"step": self.step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``, which must be of the same architecture and optimiser."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


@dataclass(frozen=True)
class StepReport:
    """A step is done, in so many seconds. ``values`` is empty where it is not reported (see ``is_reported``)."""

    step: int
    epoch: float
    loss: float
    seconds: float
    values: dict[str, float]


def is_reported(step: int, total_steps: int) -> bool:
    """Whether the metrics after this many steps are reported: every k-th and the last, by step and never by time."""
    return step % max(1, math.ceil(total_steps / POINTS_PER_RUN)) == 0 or step == total_steps


def train_step(learner: Learner, views: Tensor, rate: float, *, temperature: float, precision: Precision) -> Tensor:
    """One update on views (2N, 3, S, S); returns loss, contrastive accuracy and entropy: (3,), on the device.

    Both views go through the net in one pass: two passes would change the batch statistics.
    """
    learner.model.train()
    set_learning_rate(learner.optimizer, rate)
    learner.optimizer.zero_grad(set_to_none=True)
    with autocast(precision, views.device):
        z = learner.model(views.contiguous(memory_format=torch.channels_last))
    result = nt_xent(z, temperature)
    result.loss.backward()
    learner.optimizer.step()
    learner.step += 1
    return torch.stack([result.loss.detach(), result.accuracy, result.entropy])


def pretrain(learner: Learner, pixels: Tensor, recipe: Recipe) -> Iterator[StepReport]:
    """Train from ``learner.step`` to the end on pixels uint8 (n, 3, H, W), which may lie on another device.

    Yields after every step. Raises DivergedError as soon as the loss is not finite, before that step is reported.
    """
    device = next(learner.model.parameters()).device
    total = recipe.total_steps(len(pixels))
    warmup = recipe.warmup_steps(len(pixels))
    order = BatchOrder(len(pixels), recipe.batch_size, recipe.seed)
    seconds, steps = 0.0, 0
    while learner.step < total:
        started = time.perf_counter()
        step = learner.step
        rate = learning_rate(step, total_steps=total, warmup_steps=warmup, peak=recipe.peak_learning_rate)
        batch = pixels[order.batch(step).to(pixels.device)].to(device)
        views = two_views(
            batch, recipe.ops, image_size=recipe.image_size, branches=recipe.branches, seed=recipe.seed, step=step
        )
        measured = train_step(learner, views, rate, temperature=recipe.temperature, precision=recipe.precision)
        loss, accuracy, entropy = measured.tolist()
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss became {loss} at step {step + 1} of {total} (learning rate {rate:.4g}). Lower "
                "optimizer.learning_rate, lengthen optimizer.warmup_epochs, or raise loss.temperature."
            )
        taken = time.perf_counter() - started
        seconds, steps = seconds + taken, steps + 1
        values: dict[str, float] = {}
        if is_reported(learner.step, total):
            values = {
                "loss": loss,
                "contrastive_accuracy": accuracy,
                "contrastive_entropy": entropy,
                "learning_rate": rate,
                "images_per_second": steps * recipe.batch_size / seconds,
            }
            seconds, steps = 0.0, 0
        yield StepReport(learner.step, learner.step / order.steps_per_epoch, loss, taken, values)
