"""Datasets: which there are, what a run may use, imports and their reports."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.contracts.config import ExperimentConfig
from backend.contracts.datasets import DatasetStats
from backend.db.models import Dataset
from backend.services.errors import InvalidError

SHAPES = "shapes"
SHAPES_TRAIN_IMAGES = 5000


def check_usable(session: Session, config: ExperimentConfig) -> str | None:
    """The pack that a run with this config will train on (None for ``shapes``).

    Raises InvalidError, naming the field, where the dataset is missing, not ready, or too small.
    """
    name = config.dataset.name
    if name == SHAPES:
        _check_size(config, SHAPES_TRAIN_IMAGES)
        return None
    row = session.scalars(select(Dataset).where(Dataset.name == name).with_for_update(read=True)).one_or_none()
    if row is None:
        raise InvalidError.field("config.dataset.name", f"there is no dataset '{name}': import it first")
    if row.state != "ready" or row.stats is None:
        raise InvalidError.field("config.dataset.name", f"dataset '{name}' is not ready: {row.state}")
    _check_size(config, DatasetStats.model_validate(row.stats).train_images)
    return row.pack_sha256


def _check_size(config: ExperimentConfig, train_images: int) -> None:
    name = config.dataset.name
    if config.training.batch_size > train_images:
        raise InvalidError.field(
            "config.training.batch_size",
            f"{config.training.batch_size} is more than the {train_images} training images of '{name}'",
        )
