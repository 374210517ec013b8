"""Datasets as the API shows them, and what the worker reports while it imports one."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.section import DatasetName

DatasetState = Literal["importing", "ready", "failed"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DatasetCreate(_Message):
    """Import a folder on the server's disk, or CIFAR through torchvision. (A zip is sent as the request's body.)"""

    name: DatasetName
    source: Literal["folder", "torchvision"] = Field(description="'torchvision': name must be cifar10 or cifar100.")
    path: str | None = Field(default=None, max_length=4096, description="The folder (or zip file) to import.")
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="Share split off as test set where there is no test/ folder."
    )
    image_size: int = Field(
        default=32, ge=8, le=512, description="Images are resized and centre-cropped to this side, pixels."
    )


class BrokenFile(_Message):
    """A file that could not be imported."""

    file: str
    reason: str


class DatasetStats(_Message):
    """What an import found."""

    train_images: int
    test_images: int
    classes: list[str]
    image_size: int
    channels: int
    size_bytes: int
    broken: list[BrokenFile] = Field(description="At most the first 1000.")
    broken_total: int


class DatasetRead(_Message):
    """A dataset. ``shapes`` is built in, always ready, and has no pack."""

    name: str
    state: DatasetState
    progress: float
    error: str | None
    pack_sha256: str | None
    stats: DatasetStats | None
    created_at: datetime | None


class ImportJob(_Message):
    """What a worker needs to import a dataset; ``source_path`` is a file or folder the worker can read."""

    import_id: str = Field(default="", description="Tells this import from an earlier one of the same name.")
    name: str
    source: Literal["zip", "folder", "torchvision"]
    source_path: str | None
    test_share: float
    image_size: int


class ImportReport(_Message):
    """The worker's report on an import: progress while it runs, then ready with its pack, or failed."""

    import_id: str = Field(default="", description="That of the ImportJob.")
    state: DatasetState
    progress: float = Field(default=0.0, ge=0, le=1)
    pack_sha256: str | None = None
    stats: DatasetStats | None = None
    error: str | None = Field(default=None, max_length=20_000)
