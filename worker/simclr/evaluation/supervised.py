"""Training with labels: one small loop for the linear classifier by SGD, fine-tuning and the supervised baseline.

SGD with Nesterov momentum 0.9, no warm-up (appendices B.5 and B.6) and a cosine decay to 0: the paper names no
schedule there, the authors' code uses that one. A classifier's last layer starts at zero, as in the authors' command.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.views import one_view
from worker.simclr.data.dataset import Images
from worker.simclr.evaluation.steps import Steps
from worker.simclr.precision import Precision, autocast
from worker.simclr.training.batches import BatchOrder
from worker.simclr.training.feed import Feed
from worker.simclr.training.optimizers import parameter_groups, set_learning_rate
from worker.simclr.training.pretraining import DivergedError
from worker.simclr.training.schedule import learning_rate

MOMENTUM = 0.9
CROP_AND_FLIP = (Crop(), Flip())
"""The only augmentation of linear evaluation and fine-tuning (appendices B.5 and B.6)."""


@dataclass(frozen=True)
class SupervisedRecipe:
    """How to train with labels. ``seed`` is the use's own (``derive_seed``); ``name`` is what a failure calls it."""

    name: str
    ops: tuple[Op, ...]
    image_size: int
    epochs: int
    batch_size: int
    base_learning_rate: float
    weight_decay: float
    precision: Precision
    seed: int

    def fitted_batch(self, images: int) -> int:
        """Images a step: all of them where there are fewer than ``batch_size``."""
        return min(self.batch_size, images)


def zero_linear(features: int, classes: int) -> nn.Linear:
    """A linear classifier that begins at zero: every class equally likely."""
    layer = nn.Linear(features, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Classifier(nn.Module):
    """An encoder with a linear classifier on h."""

    def __init__(self, encoder: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = zero_linear(features, classes).to(next(encoder.parameters()).device)

    def forward(self, views: Tensor) -> Tensor:
        """Views (B, C, S, S) to logits (B, classes)."""
        return self.classifier(self.encoder(views))


def train_with_labels(net: nn.Module, images: Images, recipe: SupervisedRecipe) -> Steps[None]:
    """Minimise the cross entropy of ``net`` on augmented views of the images; yields the share done after every step.

    ``net`` gives logits (B, C), or (K, B, C) of K classifiers that are trained side by side without touching each
    other. The learning rate peaks at base rate x batch/256. The last, incomplete batch of an epoch is dropped.
    Raises DivergedError, looked for once an epoch, where the loss is not finite.
    """
    device = next(net.parameters()).device
    count = len(images.labels)
    order = BatchOrder(count, recipe.fitted_batch(count), recipe.seed)
    labels = images.labels.to(device)
    optimizer = torch.optim.SGD(parameter_groups(net, recipe.weight_decay), lr=0.0, momentum=MOMENTUM, nesterov=True)
    peak = recipe.base_learning_rate * order.batch_size / 256
    total = recipe.epochs * order.steps_per_epoch
    net.train()
    with Feed(images.pixels, order.batch_size, recipe.seed, device, slice(0, order.batch_size)) as feed:
        for step in range(total):
            views = one_view(feed.batch(step), recipe.ops, image_size=recipe.image_size, seed=recipe.seed, step=step)
            set_learning_rate(optimizer, learning_rate(step, total_steps=total, warmup_steps=0, peak=peak))
            with autocast(recipe.precision, device):
                logits = net(views.contiguous(memory_format=torch.channels_last))
            loss = side_by_side(logits.float(), labels[order.batch(step).to(device, non_blocking=True)])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if (step + 1) % order.steps_per_epoch == 0 and not math.isfinite(loss.item()):
                raise DivergedError(f"The loss of {recipe.name} became {loss.item()}: lower its learning_rate.")
            yield (step + 1) / total


def side_by_side(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of logits (B, C); of (K, B, C) the sum over the K, so that each gets the gradient it had alone."""
    classifiers = logits.view(-1, *logits.shape[-2:])
    return torch.stack([functional.cross_entropy(each, labels) for each in classifiers]).sum()
