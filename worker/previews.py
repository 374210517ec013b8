"""Previews: some images and their two views as pictures, exactly as a step of the run will see them."""

import base64
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from backend.contracts.config import DatasetConfig
from backend.contracts.previews import PreviewJob, ViewsPreview, ViewTriple
from worker.datasets import load_dataset
from worker.pipeline.picture import png
from worker.pipeline.preview import preview_views
from worker.simclr.data.dataset import ImageDataset


def draw(job: PreviewJob, packs_dir: Path) -> ViewsPreview:
    """The preview, or the reason why there is none."""
    config = job.request.config
    try:
        dataset = _images(config.dataset.name, config.dataset.image_size, job.pack_sha256, packs_dir)
        views = preview_views(config, dataset, images=job.request.images, step=job.request.step)
    except (ValueError, OSError) as error:
        return ViewsPreview(items=[], error=str(error))
    columns = zip(views.originals, views.first, views.second, views.labels.tolist(), strict=True)
    return ViewsPreview(
        items=[
            ViewTriple(
                label=dataset.classes[label] if label >= 0 else "",
                image_png=_text(image),
                view1_png=_text(first),
                view2_png=_text(second),
            )
            for image, first, second, label in columns
        ]
    )


@lru_cache(maxsize=4)
def _images(name: str, image_size: int, pack_sha256: str | None, packs_dir: Path) -> ImageDataset:
    """A dataset's images, kept for the next preview: a person tries one augmentation after the other."""
    config = DatasetConfig(name=name, image_size=image_size)
    data = packs_dir / pack_sha256 if pack_sha256 else None
    return load_dataset(config, data, packs=packs_dir)[0]


def _text(pixels: Tensor) -> str:
    """An image, uint8 (C, H, W), as base64 PNG."""
    return base64.b64encode(png(pixels)).decode()
