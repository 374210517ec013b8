"""From a config's dataset to its images: rendered, from a pack, or imported from a zip or folder first."""

from pathlib import Path

from backend.contracts.config import DatasetConfig
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import load_pack
from worker.simclr.data.shapes import render_shapes

TEST_SHARE = 0.2
"""Of a zip or folder given on the command line without ``test/``."""


def load_dataset(config: DatasetConfig, data: Path | None, *, packs: Path) -> tuple[ImageDataset, str | None]:
    """The images, and the hash of their pack (None for rendered ones, which follow from the config).

    ``data`` is a pack, or a zip or folder that is imported into ``packs`` first. Raises ValueError with what to do
    where there are no such images, and ImportRefusedError as ``import_images`` does.
    """
    if data is None:
        if config.name != "shapes":
            raise ValueError(
                f"dataset.name is '{config.name}', whose images must be given: --data with a zip or folder, one "
                "folder a class. Only 'shapes' needs none."
            )
        return render_shapes(config.image_size), None
    if not (data / "pack.json").is_file():
        imported = import_images(
            data, packs, image_size=config.image_size, test_share=TEST_SHARE, on_progress=lambda _: None
        )
        data = imported.directory
    dataset = load_pack(data)
    size = dataset.train.pixels.shape[-1]
    if size < config.image_size:
        raise ValueError(f"dataset.image_size is {config.image_size}, but the images were imported at {size} pixels.")
    return dataset, data.resolve().name
