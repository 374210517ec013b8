"""Where the images of a run come from: rendered, a pack, or a person's zip or folder, which is imported first."""

from pathlib import Path

from backend.contracts.config import DatasetConfig
from worker.simclr.dataset import ImageDataset
from worker.simclr.shapes import render_shapes


def load_dataset(config: DatasetConfig, data: Path | None, *, packs: Path) -> tuple[ImageDataset, str | None]:
    """The images and their pack's SHA-256 (None for 'shapes', which follows from the config)."""
    if config.name == "shapes" and data is None:
        return render_shapes(image_size=config.image_size), None
    raise ValueError(f"dataset.name is '{config.name}': only 'shapes' can be trained on yet (not {data}, {packs}).")
