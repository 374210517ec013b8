"""Importing datasets: taking an upload or a folder in, handing it to a worker, and what the worker reports."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.contracts.datasets import (
    DEFAULT_IMAGE_SIZE,
    KNOWN_DATASETS,
    Channels,
    DatasetCreate,
    DatasetRead,
    ImportReport,
)
from backend.db.models import Dataset
from backend.db.types import utc_now
from backend.services import datasets
from backend.services.errors import ConflictError, InvalidError, NotFoundError
from backend.services.incoming import IncomingFile
from backend.services.lab import Lab, new_id
from backend.services.zips import check_zip

_KNOWN = {known.name: known for known in KNOWN_DATASETS}


@dataclass(frozen=True)
class ImportOptions:
    """How images are to be imported, and under which name."""

    name: str
    image_size: int
    test_share: float
    channels: Channels


def import_from_server(lab: Lab, request: DatasetCreate) -> DatasetRead:
    """Import a folder or zip on the server's disk, or a known dataset through torchvision.

    Raises InvalidError where there is nothing to import, ConflictError where the name is in use.
    """
    source, path = _source_of(request)
    known = _KNOWN.get(request.name) if source == "torchvision" else None
    image_size = request.image_size or (known.image_size if known else DEFAULT_IMAGE_SIZE)
    options = ImportOptions(request.name, image_size, request.test_share, request.channels)
    with lab.database.write() as session:
        row = _add(session, options, source, path)
    lab.unsent.set()
    return datasets.read_model(row)


def check_name_is_free(lab: Lab, name: str) -> None:
    """Raise ConflictError where a dataset has this name, before gigabytes are sent."""
    with lab.database.read() as session:
        _check_free(session, name)


def import_upload(lab: Lab, incoming: IncomingFile, options: ImportOptions) -> DatasetRead:
    """Import a zip that has been received. Raises InvalidError where it is none, ConflictError as above."""
    check_zip(incoming.path, field="body")
    path = lab.settings.uploads_dir.absolute() / f"{secrets.token_hex(16)}.zip"
    with lab.database.write() as session:
        row = _add(session, options, "zip", path)
        incoming.keep_as(path)
    lab.unsent.set()
    return datasets.read_model(row)


def report(lab: Lab, name: str, given: ImportReport) -> None:
    """What a worker says about its import. Raises NotFoundError where the dataset is gone, and the worker should stop."""
    with lab.database.write() as session:
        row = datasets.get(session, name, lock=True)
        if given.import_id and given.import_id != row.import_id:
            raise NotFoundError(f"Dataset '{name}' was deleted and imported anew.")
        if row.state != "importing":
            if (row.state, row.pack_sha256) == (given.state, given.pack_sha256):
                return  # the same report again: its answer was lost
            raise ConflictError(f"The import of '{name}' is over: it is {row.state}.")
        if given.state == "ready" and (given.pack_sha256 is None or given.stats is None):
            raise InvalidError.field("pack_sha256", "a ready dataset has a pack and stats")
        row.state = given.state
        row.progress = 1.0 if given.state == "ready" else given.progress
        row.error = given.error
        row.pack_sha256 = given.pack_sha256
        row.stats = given.stats.model_dump(mode="json") if given.stats else None
        row.seen_at = utc_now()
    if given.state != "importing":
        datasets.forget_upload(lab, row)


def _source_of(request: DatasetCreate) -> tuple[str, Path | None]:
    if request.source == "torchvision":
        if request.name not in _KNOWN:
            raise InvalidError.field("name", f"torchvision brings {', '.join(_KNOWN)}, not '{request.name}'")
        return "torchvision", None
    if not request.path:
        raise InvalidError.field("path", "say which folder or zip file to import")
    path = Path(request.path).expanduser().absolute()
    try:
        if path.is_file():
            check_zip(path, field="path")
            return "zip", path
        if path.is_dir():
            return "folder", path
    except (OSError, ValueError) as error:
        raise InvalidError.field("path", f"cannot be read: {error}") from error
    raise InvalidError.field("path", f"there is no folder or zip file {path} on the server")


def _check_free(session: Session, name: str) -> None:
    if name == datasets.SHAPES.name:
        raise ConflictError("'shapes' is built in: choose another name.")
    existing = session.get(Dataset, name)
    if existing is not None and existing.state != "failed":
        raise ConflictError(f"There is a dataset '{name}' already: choose another name, or delete that one first.")


def _add(session: Session, options: ImportOptions, source: str, path: Path | None) -> Dataset:
    """A new row; it takes the place of an import of that name that failed."""
    name = options.name
    _check_free(session, name)
    session.execute(delete(Dataset).where(Dataset.name == name, Dataset.state == "failed"))
    session.expunge_all()
    now = utc_now()
    row = Dataset(
        name=name,
        import_id=new_id(),
        source=source,
        source_path=None if path is None else str(path),
        image_size=options.image_size,
        test_share=options.test_share,
        channels=str(options.channels),
        state="importing",
        progress=0.0,
        sends=0,
        created_at=now,
        seen_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # two at the same moment
        raise ConflictError(f"There is a dataset '{name}' already: choose another name.") from error
    return row
