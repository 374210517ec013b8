"""What is refused before anything runs because it does not fit these images or this machine."""

from collections.abc import Mapping
from importlib.util import find_spec

import torch

from backend.contracts.config import ExperimentConfig
from backend.contracts.fit import ImageFacts, find_misfit
from worker.pipeline.build import science_op
from worker.pipeline.errors import ConfigError
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.evaluation.labels import labels_per_class

FEWEST_ON_A_MAP = 5
"""Test images below which a map in two dimensions says nothing (and t-SNE refuses)."""


def check_fits(config: ExperimentConfig, dataset: ImageDataset, device: torch.device, *, processes: int = 1) -> None:
    """Raise ConfigError, naming the field, where the config cannot be run on these images and this machine.

    ``processes`` train it together, each on its GPU, or on the CPU where there is none.
    """
    _check_processes(config, device, processes)
    facts = ImageFacts(
        train=len(dataset.train),
        test=len(dataset.test),
        unlabelled=0 if dataset.unlabelled is None else len(dataset.unlabelled),
        image_size=None,  # whoever loads the images looks at their size
    )
    misfit = find_misfit(config, facts)
    if misfit is not None:
        raise ConfigError(misfit.field, misfit.message)
    _check_channels(config, dataset.train.pixels.shape[1])


def _check_processes(config: ExperimentConfig, device: torch.device, processes: int) -> None:
    gpus, available = config.resources.gpus, torch.cuda.device_count() if device.type == "cuda" else 0
    if gpus > available:
        has = f"{available} of them" if available else "no GPU"
        raise ConfigError("resources.gpus", f"{gpus} asked for, but this worker has {has}.")
    share, rest = divmod(config.training.batch_size, processes)
    micro = config.training.micro_batch_size
    if rest or share < 2:
        raise ConfigError(
            "training.batch_size", f"is {config.training.batch_size}, which {processes} processes cannot share equally."
        )
    if isinstance(micro, int) and share % micro:
        raise ConfigError("training.micro_batch_size", f"is {micro}, which does not divide the {share} images of each.")


def _check_channels(config: ExperimentConfig, channels: int) -> None:
    """Raise ConfigError where a transformation of colours is asked for images that are not of three channels."""
    for op in config.augmentation.ops:
        if channels != 3 and science_op(op).needs_rgb:
            raise ConfigError(
                "augmentation.ops",
                f"{op.label} is for colour images of 3 channels, but these have {channels}. Leave it out.",
            )


def check_evaluation(config: ExperimentConfig, dataset: ImageDataset, transfer: Mapping[str, ImageDataset]) -> None:
    """Raise ConfigError, naming the field, where an evaluation cannot be done with these images or this installation.

    ``transfer`` holds the other datasets that are at hand.
    """
    _check_transfer(config, dataset, transfer)
    if len(dataset.train.labels) > 0:
        _check_labelled(config, dataset)


def _check_labelled(config: ExperimentConfig, dataset: ImageDataset) -> None:
    evaluation = config.evaluation
    images, classes = config.dataset.train_subset or len(dataset.train.labels), len(dataset.classes)
    if classes < 2:
        raise ConfigError(
            "dataset.name",
            f"evaluation needs two classes or more; these images have {classes}. Images without labels belong into a "
            "folder 'unlabelled'.",
        )
    if evaluation.semi_supervised is not None:
        for share in evaluation.semi_supervised.label_shares:
            if labels_per_class(images, share, classes) == 0:
                raise ConfigError(
                    "evaluation.semi_supervised.label_shares",
                    f"{share:g} of {images} training images leaves no label to each of the {classes} classes: "
                    f"take at least {classes / images:.2g}.",
                )
    tasks, channels = evaluation.transformations, dataset.train.pixels.shape[1]
    if tasks is not None and "color" in tasks.tasks and channels != 3:
        raise ConfigError(
            "evaluation.transformations.tasks", f"'color' needs 3 channels, these images have {channels}."
        )
    if evaluation.projection is not None:
        if evaluation.projection.method == "umap" and find_spec("umap") is None:
            raise ConfigError(
                "evaluation.projection.method",
                "'umap' needs the package umap-learn (pip install umap-learn); 'tsne' and 'pca' need nothing more.",
            )
        if len(dataset.test.labels) < FEWEST_ON_A_MAP:
            raise ConfigError("evaluation.projection", f"a map needs at least {FEWEST_ON_A_MAP} test images.")


def _check_transfer(config: ExperimentConfig, dataset: ImageDataset, transfer: Mapping[str, ImageDataset]) -> None:
    field, channels = "evaluation.transfer.datasets", dataset.train.pixels.shape[1]
    for name in config.evaluation.transfer.datasets if config.evaluation.transfer else ():
        if name not in transfer:
            raise ConfigError(field, f"'{name}' is not at hand: give its images with --transfer {name}=PATH.")
        other = transfer[name]
        if other.train.pixels.shape[1] != channels:
            raise ConfigError(
                field, f"'{name}' has {other.train.pixels.shape[1]} channels, the encoder was trained on {channels}."
            )
        if len(other.classes) < 2 or not len(other.train.labels) or not len(other.test.labels):
            raise ConfigError(field, f"'{name}' has not both training and test images of two classes or more.")
