"""Datasets as the API shows them, and what the worker reports while it imports one."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backend.contracts.section import DatasetName

DatasetState = Literal["importing", "ready", "failed"]
DEFAULT_IMAGE_SIZE = 32


def _number_where_one(value: object) -> object:
    return int(value) if value in {"1", "3"} and isinstance(value, str) else value


Channels = Annotated[Literal["auto", 1, 3], BeforeValidator(_number_where_one)]
CHANNELS_DESCRIPTION = (
    "'auto': 1 where all images are greyscale, else RGB; arrays (.npy) keep their own. 1: grey. 3: RGB."
)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KnownDataset(_Message):
    """A dataset that is imported by its name, through torchvision."""

    name: DatasetName
    title: str
    about: str
    download: str = Field(description="How much is downloaded.")
    image_size: int = Field(description="Side at which it is imported where nothing else is asked for, pixels.")


KNOWN_DATASETS = (
    KnownDataset(
        name="cifar10",
        title="CIFAR-10",
        about="60,000 colour photographs of animals and vehicles, 10 classes, 32 pixels.",
        download="170 MB",
        image_size=32,
    ),
    KnownDataset(
        name="cifar100",
        title="CIFAR-100",
        about="60,000 colour photographs, 100 classes, 32 pixels.",
        download="169 MB",
        image_size=32,
    ),
    KnownDataset(
        name="stl10",
        title="STL-10",
        about="13,000 photographs of 10 classes, and 100,000 without labels to pretrain on, 96 pixels.",
        download="2.6 GB",
        image_size=96,
    ),
    KnownDataset(
        name="svhn",
        title="SVHN",
        about="99,289 house numbers, 10 digits, 32 pixels.",
        download="246 MB",
        image_size=32,
    ),
    KnownDataset(
        name="fashion-mnist",
        title="Fashion-MNIST",
        about="70,000 pieces of clothing in grey, 10 classes, 28 pixels.",
        download="31 MB",
        image_size=28,
    ),
    KnownDataset(
        name="imagenette",
        title="Imagenette",
        about="13,394 photographs, 10 easy classes of ImageNet. Up to 160, 320 or more pixels: three downloads.",
        download="99 MB, 341 MB or 1.6 GB",
        image_size=160,
    ),
)


class DatasetCreate(_Message):
    """Import a folder on the server's disk, or a known dataset by name. (A zip is sent as the request's body.)"""

    name: DatasetName
    source: Literal["folder", "torchvision"] = Field(
        description=f"'torchvision': name must be {', '.join(known.name for known in KNOWN_DATASETS)}."
    )
    path: str | None = Field(default=None, max_length=4096, description="The folder (or zip file) to import.")
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="Share split off as test set where there is no test/ folder."
    )
    image_size: int | None = Field(
        default=None,
        ge=8,
        le=512,
        description="Images are resized and centre-cropped to this side, pixels. Runs use this size or a smaller one. "
        f"Empty: the known dataset's own, else {DEFAULT_IMAGE_SIZE}.",
    )
    channels: Channels = Field(default="auto", description=CHANNELS_DESCRIPTION)


class BrokenFile(_Message):
    """A file that could not be imported."""

    file: str
    reason: str


class DatasetStats(_Message):
    """What an import found. Datasets imported by an earlier version lack what has a default."""

    train_images: int
    test_images: int
    unlabelled_images: int = Field(default=0, description="Images without a label, for pretraining only.")
    classes: list[str]
    train_counts: list[int] = Field(default=[], description="Training images a class, in the order of the classes.")
    test_counts: list[int] = Field(default=[], description="Test images a class, in the order of the classes.")
    image_size: int
    channels: int
    mean: list[float] = Field(
        default=[], description="Mean of each channel over the training images, of values 0 to 1."
    )
    std: list[float] = Field(default=[], description="Standard deviation of each channel, likewise.")
    size_bytes: int
    broken: list[BrokenFile] = Field(description="At most the first 1000.")
    broken_total: int
    notes: list[str] = Field(default=[], description="How channels and 16-bit values were taken.")


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
    channels: Channels = "auto"


class ImportReport(_Message):
    """The worker's report on an import: progress while it runs, then ready with its pack, or failed."""

    import_id: str = Field(default="", description="That of the ImportJob.")
    state: DatasetState
    progress: float = Field(default=0.0, ge=0, le=1)
    pack_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    stats: DatasetStats | None = None
    error: str | None = Field(default=None, max_length=20_000)
