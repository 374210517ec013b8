"""Datasets: which there are, what a run may ask of them, and their removal."""

from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.contracts.config import ExperimentConfig
from backend.contracts.datasets import KNOWN_DATASETS, DatasetRead, DatasetStats
from backend.contracts.fit import ImageFacts, find_misfit
from backend.contracts.runs import ENDED
from backend.db.models import Dataset, Run
from backend.services import folders
from backend.services.errors import ConflictError, InvalidError, NotFoundError
from backend.services.lab import Lab

SHAPES = DatasetRead(
    name="shapes",
    state="ready",
    progress=1.0,
    error=None,
    pack_sha256=None,
    stats=DatasetStats(
        train_images=5000,
        test_images=1000,
        classes=[],
        image_size=32,
        channels=3,
        size_bytes=0,
        broken=[],
        broken_total=0,
    ),
    created_at=None,
)
"""Built in: rendered by the worker from a seed, at whatever size the config asks for."""

_KNOWN = frozenset(known.name for known in KNOWN_DATASETS)


def listed(lab: Lab) -> list[DatasetRead]:
    """All datasets: the built-in one, then the imported ones, oldest first."""
    with lab.database.read() as session:
        rows = session.scalars(select(Dataset).order_by(Dataset.created_at, Dataset.name)).all()
    return [SHAPES, *map(read_model, rows)]


def read(lab: Lab, name: str) -> DatasetRead:
    """One dataset. Raises NotFoundError."""
    if name == SHAPES.name:
        return SHAPES
    with lab.database.read() as session:
        return read_model(get(session, name))


def remove(lab: Lab, name: str) -> None:
    """Delete a dataset, with its pack where no other dataset has the same images.

    Raises ConflictError while an unfinished run uses it, and for ``shapes``.
    """
    if name == SHAPES.name:
        raise ConflictError("'shapes' is built in and cannot be deleted.")
    with lab.database.write() as session:
        dataset = get(session, name, lock=True)
        if count := _unfinished_runs_on(session, name):
            raise ConflictError(f"{count} unfinished run(s) use dataset '{name}': stop them first, then delete it.")
        session.execute(delete(Dataset).where(Dataset.name == name))
        same_images = select(Dataset.name).where(Dataset.pack_sha256 == dataset.pack_sha256)
        shared = session.scalars(same_images).first() is not None
    if dataset.pack_sha256 is not None and not shared:
        folders.remove(lab.settings.packs_dir, dataset.pack_sha256)
    forget_upload(lab, dataset)


def forget_upload(lab: Lab, dataset: Dataset) -> None:
    """Remove the uploaded zip of an import that is over. A file that was not uploaded stays."""
    if dataset.source_path is None:
        return
    path = Path(dataset.source_path)
    if path.parent == lab.settings.uploads_dir.absolute():
        path.unlink(missing_ok=True)


def get(session: Session, name: str, *, lock: bool = False) -> Dataset:
    """The row of an imported dataset, locked where asked. Raises NotFoundError."""
    statement = select(Dataset).where(Dataset.name == name)
    dataset = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if dataset is None:
        raise NotFoundError(f"There is no dataset '{name}'.")
    return dataset


def read_model(dataset: Dataset) -> DatasetRead:
    """A dataset as the API shows it."""
    return DatasetRead.model_validate({name: getattr(dataset, name) for name in DatasetRead.model_fields})


def check_usable(session: Session, config: ExperimentConfig) -> str | None:
    """The pack that a run with this config trains on (None for ``shapes``), kept from removal until the commit.

    Raises InvalidError, naming the field below ``config``, where the dataset is not there, not ready, or too small.
    """
    dataset, stats = _ready(session, config.dataset.name, "config.dataset.name")
    misfit = find_misfit(config, facts(dataset.name, stats))
    if misfit is not None:
        raise InvalidError.field(f"config.{misfit.field}", misfit.message)
    return dataset.pack_sha256


def facts(name: str, stats: DatasetStats) -> ImageFacts:
    """What a dataset holds; ``shapes`` are rendered at any size."""
    image_size = None if name == SHAPES.name else stats.image_size
    return ImageFacts(stats.train_images, stats.test_images, stats.unlabelled_images, image_size)


def check_transfer(session: Session, config: ExperimentConfig) -> dict[str, str | None]:
    """The packs of the datasets in ``evaluation.transfer`` by name, kept from removal until the commit.

    Raises InvalidError, naming the field below ``config``, where one is not there, not ready, without labels, or of
    other channels than the run's own images.
    """
    field, packs = "config.evaluation.transfer.datasets", dict[str, str | None]()
    _, own = _ready(session, config.dataset.name, "config.dataset.name")
    for name in config.evaluation.transfer.datasets if config.evaluation.transfer else ():
        dataset, stats = _ready(session, name, field)
        if stats.train_images == 0 or stats.test_images == 0:
            raise InvalidError.field(field, f"'{name}' has no labelled training and test images to be evaluated on")
        if stats.channels != own.channels:
            raise InvalidError.field(
                field, f"'{name}' has {stats.channels} channel(s), '{config.dataset.name}' has {own.channels}"
            )
        packs[name] = dataset.pack_sha256
    return packs


def _ready(session: Session, name: str, field: str) -> tuple[DatasetRead, DatasetStats]:
    """A dataset that can be used, locked against removal. Raises InvalidError for ``field``."""
    if name == SHAPES.name:
        dataset = SHAPES
    else:
        row = session.scalars(select(Dataset).where(Dataset.name == name).with_for_update(read=True)).one_or_none()
        if row is None:
            raise InvalidError.field(field, _missing(name))
        dataset = read_model(row)
    if dataset.state == "importing":
        raise InvalidError.field(field, f"'{name}' is still being imported: try again when it is ready")
    if dataset.state == "failed" or dataset.stats is None:
        raise InvalidError.field(field, f"the import of '{name}' failed: import it again")
    return dataset, dataset.stats


def _unfinished_runs_on(session: Session, name: str) -> int:
    """How many runs still need the images of a dataset, to train on or to transfer to."""
    rows = session.execute(select(Run.dataset, Run.transfer_packs).where(Run.state.not_in(ENDED)))
    return sum(row.dataset == name or name in (row.transfer_packs or {}) for row in rows)


def _missing(name: str) -> str:
    if name in _KNOWN:
        return f"'{name}' is not imported yet: import it first (Datasets, or POST /datasets with source 'torchvision')"
    return f"there is no dataset '{name}': import it first, or use 'shapes', which is built in"
