"""A net and images small enough to train in a second."""

import torch

from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture, build_model
from worker.simclr.training.optimizers import build_optimizer
from worker.simclr.training.pretraining import Learner, Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(
    ops=(Crop(), Flip(), Color()),
    branches="both",
    image_size=8,
    loss=lambda z, anchors: contrastive_loss(z, anchors=anchors),
    peak_learning_rate=0.1,
    warmup_epochs=0.5,
    epochs=3,
    batch_size=8,
    precision="fp32",
    seed=3,
)


def some_pixels(count=35):
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def new_learner(optimizer="sgd", join=lambda model: model):
    model = join(build_model(Architecture(width=0.0625, stem="stride2", output_dim=16), 0, CPU))
    return Learner(model, build_optimizer(optimizer, model, weight_decay=1e-4, momentum=0.9))
