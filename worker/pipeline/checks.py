"""What is refused before anything runs because it does not fit these images or this machine."""

import torch

from backend.contracts.config import ExperimentConfig
from backend.contracts.fit import ImageFacts, find_misfit
from worker.pipeline.build import science_op
from worker.pipeline.errors import ConfigError
from worker.simclr.data.dataset import ImageDataset


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
    if micro is not None and share % micro:
        raise ConfigError("training.micro_batch_size", f"is {micro}, which does not divide the {share} images of each.")


def _check_channels(config: ExperimentConfig, channels: int) -> None:
    """Raise ConfigError where a transformation of colours is asked for images that are not of three channels."""
    for op in config.augmentation.ops:
        if channels != 3 and science_op(op).needs_rgb:
            raise ConfigError(
                "augmentation.ops",
                f"{op.label} is for colour images of 3 channels, but these have {channels}. Leave it out.",
            )
