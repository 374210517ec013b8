"""The very views that a step of a run will see."""

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.contracts.config import ExperimentConfig
from worker.pipeline.build import make_recipe, pretraining_pixels, used_images
from worker.pipeline.checks import check_fits
from worker.simclr.augmentation.views import two_views
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.training.batches import BatchOrder


@dataclass(frozen=True)
class Views:
    """Some images and the two views of each: uint8 (B, C, H, W), twice (B, C, S, S), and labels (B,), -1 for none."""

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
    source, labels = pretraining_pixels(config, dataset), _pretraining_labels(config, dataset)
    batch = BatchOrder(len(source), recipe.batch_size, recipe.seed).batch(step)
    pixels = source[batch]
    views = two_views(
        pixels, recipe.ops, image_size=recipe.image_size, branches=recipe.branches, seed=recipe.seed, step=step
    )
    first, second = views.mul(255).round().clamp(0, 255).to(torch.uint8).chunk(2)
    shown = slice(0, images)
    return Views(pixels[shown], first[shown], second[shown], labels[batch][shown])


def _pretraining_labels(config: ExperimentConfig, dataset: ImageDataset) -> Tensor:
    """The labels of what pretraining draws from, -1 where there is none: int64 (n,)."""
    unlabelled = torch.full((0 if dataset.unlabelled is None else len(dataset.unlabelled),), -1)
    match config.dataset.pretrain_on:
        case "train":
            return dataset.train.labels
        case "unlabelled":
            return unlabelled
        case "all":
            return torch.cat([dataset.train.labels, unlabelled])
