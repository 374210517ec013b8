"""From the sections of a config to the objects of the science."""

from dataclasses import replace
from importlib import import_module

import torch

from backend.contracts.augmentation import AugmentationOp
from backend.contracts.config import ExperimentConfig
from worker.pipeline.errors import ConfigError
from worker.simclr.augmentation.autoaugment import AutoAugment
from worker.simclr.augmentation.blur import Blur, MotionBlur
from worker.simclr.augmentation.color import Color, Grayscale, Jitter
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.cutout import Cutout
from worker.simclr.augmentation.noise import Noise
from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.rotate import Rotate
from worker.simclr.augmentation.sobel import Sobel
from worker.simclr.augmentation.tone import Equalize, Solarize
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.data.rows import Pixels, choose, join
from worker.simclr.evaluation.protocol import Protocol
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture, SimCLR, build_model
from worker.simclr.nets.timm_encoders import UnfitEncoderError
from worker.simclr.precision import choose_precision
from worker.simclr.training.batches import train_subset
from worker.simclr.training.optimizers import build_optimizer
from worker.simclr.training.pretraining import Learner, Loss, Recipe
from worker.simclr.training.team import Team

WORTH_COMPILING = 1000
"""Steps."""

SCIENCE_OPS: dict[str, type[Op]] = {
    "crop": Crop,
    "flip": Flip,
    "color": Color,
    "jitter": Jitter,
    "grayscale": Grayscale,
    "blur": Blur,
    "cutout": Cutout,
    "rotate": Rotate,
    "noise": Noise,
    "sobel": Sobel,
    "equalize": Equalize,
    "solarize": Solarize,
    "motion_blur": MotionBlur,
    "autoaugment": AutoAugment,
}
"""Every transformation of the config by name."""


def science_op(op: AugmentationOp) -> Op:
    """The transformation that a config's entry describes: its fields are those of the entry."""
    return SCIENCE_OPS[op.name](**op.model_dump(exclude={"name"}))


def make_recipe(config: ExperimentConfig, device: torch.device) -> Recipe:
    """How to pretrain; a micro-batch that is to be found is the whole batch at first."""
    micro_batch_size = config.training.micro_batch_size
    return Recipe(
        ops=tuple(science_op(op) for op in config.augmentation.ops),
        branches=config.augmentation.branches,
        image_size=config.dataset.image_size,
        loss=make_loss(config),
        peak_learning_rate=config.peak_learning_rate,
        warmup_epochs=config.optimizer.warmup_epochs,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        precision=choose_precision(config.training.precision, device),
        seed=config.training.seed,
        micro_batch_size=None if micro_batch_size == "auto" else micro_batch_size,
    )


def make_protocol(config: ExperimentConfig, device: torch.device) -> Protocol:
    """How to evaluate."""
    return Protocol(
        image_size=config.dataset.image_size,
        precision=choose_precision(config.training.precision, device),
        neighbors=config.evaluation.knn_neighbors,
    )


def make_loss(config: ExperimentConfig) -> Loss:
    """The contrastive loss, with every setting of the config."""
    settings = config.loss.model_dump()
    return lambda z, anchors: contrastive_loss(z, **settings, anchors=anchors)


def make_architecture(config: ExperimentConfig, in_channels: int = 3) -> Architecture:
    """The net's architecture for images of ``in_channels`` channels, with 'auto' resolved."""
    return Architecture(
        arch=config.encoder.arch,
        width=config.encoder.width,
        stem=config.encoder_stem,
        in_channels=in_channels,
        image_size=config.dataset.image_size,
        zero_init_residual=config.encoder.zero_init_residual,
        head=config.head.kind,
        hidden_layers=config.head.hidden_layers,
        hidden_dim=config.head.hidden_dim,
        output_dim=config.head.z_dim or 0,
        batch_norm=config.head.batch_norm,
    )


def untrained_model(config: ExperimentConfig, device: torch.device, in_channels: int = 3) -> SimCLR:
    """The net as it is at step 0 of the run. Raises ConfigError where the encoder cannot take these images."""
    try:
        return build_model(make_architecture(config, in_channels), config.training.seed, device)
    except UnfitEncoderError as error:
        raise ConfigError("encoder.arch", str(error)) from error


def make_learner(
    config: ExperimentConfig, device: torch.device, *, images: int, in_channels: int = 3, team: Team | None = None
) -> Learner:
    """The untrained net and its optimiser, for a pretraining on ``images`` images of ``in_channels`` channels.

    Raises ConfigError where the encoder cannot take these images.
    """
    model = untrained_model(config, device, in_channels)
    if team is not None:
        team.join(model)
    optimizer = build_optimizer(
        config.optimizer.name,
        model,
        weight_decay=config.optimizer.weight_decay,
        momentum=config.optimizer.momentum,
        nesterov=config.optimizer.nesterov,
    )
    compiled = is_compiled(config, device, make_recipe(config, device).total_steps(images))
    if compiled and config.training.compile == "auto":
        dynamo = import_module("torch._dynamo")
        dynamo.config.suppress_errors = (
            True  # where nothing can be compiled, for want of a C compiler, it runs as it is
        )
    return Learner(model, optimizer, compiled=compiled)


def is_compiled(config: ExperimentConfig, device: torch.device, steps: int) -> bool:
    """Whether torch.compile pays: on a GPU, in a run long enough to make up for the minute that it takes.

    On CPUs it lost to channels-last bf16 by a third.
    """
    wish = config.training.compile
    return wish == "on" or (wish == "auto" and device.type == "cuda" and steps >= WORTH_COMPILING)


def used_images(config: ExperimentConfig, dataset: ImageDataset) -> ImageDataset:
    """The dataset with the training images that the config asks for; a subset's pixels are not copied."""
    size = config.dataset.train_subset
    if size is None or size >= len(dataset.train):
        return dataset
    chosen = train_subset(len(dataset.train), size, config.training.seed)
    train = Images(choose(dataset.train.pixels, chosen), dataset.train.labels[chosen])
    return replace(dataset, train=train)


def pretraining_pixels(config: ExperimentConfig, dataset: ImageDataset) -> Pixels:
    """What pretraining draws from: uint8 (n, C, H, W), of the dataset that ``used_images`` gave.

    Nothing is copied: 'all' is the training images, then those without labels. Raises ValueError where it asks for
    images without labels and there are none (``check_fits`` refuses that).
    """
    wanted = config.dataset.pretrain_on
    if wanted == "train":
        return dataset.train.pixels
    if dataset.unlabelled is None:
        raise ValueError(f"'{config.dataset.name}' has no images without labels")
    return dataset.unlabelled if wanted == "unlabelled" else join(dataset.train.pixels, dataset.unlabelled)
