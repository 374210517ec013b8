"""From a config's dataset to its images: rendered, from a pack, or imported first, from files or by a known name."""

from collections.abc import Mapping
from pathlib import Path

from backend.contracts.config import DatasetConfig, ExperimentConfig
from backend.contracts.datasets import KNOWN_DATASETS
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import load_pack
from worker.simclr.data.shapes import render_shapes
from worker.simclr.data.torchvision_datasets import import_known

TEST_SHARE = 0.2
"""Of a zip or folder given on the command line without ``test/``."""
_KNOWN = {known.name: known for known in KNOWN_DATASETS}

Identified = tuple[ImageDataset, str | None]
"""Images, and the hash of their pack (None for rendered ones, which follow from the config)."""


def load_dataset(config: DatasetConfig, data: Path | None, *, packs: Path) -> Identified:
    """The images of a run.

    ``data`` is a pack, or a zip or folder that is imported into ``packs`` first; without it a known dataset is
    downloaded into the folder ``downloads`` beside ``packs`` and imported. Raises ValueError with what to do where there
    are no such images, and ImportRefusedError as ``import_images`` and ``import_known`` do.
    """
    if data is None and config.name in _KNOWN:
        data = _import_known(config, packs)
    if data is None and config.name != "shapes":
        raise ValueError(
            f"dataset.name is '{config.name}', whose images must be given: --data with a zip or folder, one "
            f"folder a class. Only 'shapes' and the known datasets ({', '.join(_KNOWN)}) need none."
        )
    dataset, identity = _load(data, config.image_size, packs)
    size = dataset.train.pixels.shape[-1]
    if size < config.image_size:
        raise ValueError(f"dataset.image_size is {config.image_size}, but the images were imported at {size} pixels.")
    return dataset, identity


def _import_known(config: DatasetConfig, packs: Path) -> Path:
    """The pack of a known dataset, at its own size or at that of the run where that is larger."""
    return import_known(
        config.name,
        packs,
        packs.parent / "downloads",
        image_size=max(config.image_size, _KNOWN[config.name].image_size),
        on_progress=lambda _: None,
    ).directory


def load_transfer(config: ExperimentConfig, given: Mapping[str, Path], *, packs: Path) -> dict[str, Identified]:
    """The other datasets that ``evaluation.transfer`` asks for, of those ``given``; 'shapes' needs not be.

    Images that were imported smaller than the encoder's size are resized up to it.
    """
    asked = config.evaluation.transfer.datasets if config.evaluation.transfer else ()
    size = config.dataset.image_size
    return {name: _load(given.get(name), size, packs) for name in asked if name in given or name == "shapes"}


def _load(data: Path | None, image_size: int, packs: Path) -> Identified:
    """Rendered shapes where there is no ``data``."""
    if data is None:
        return render_shapes(image_size), None
    if not (data / "pack.json").is_file():
        imported = import_images(data, packs, image_size=image_size, test_share=TEST_SHARE, on_progress=lambda _: None)
        data = imported.directory
    return load_pack(data), data.resolve().name
