"""Packs: a dataset decoded once into uint8 arrays on disk, named by the SHA-256 of its content.

A pack is a folder with ``train.bin`` and ``test.bin`` (raw uint8 pixels, N x 3 x S x S), ``train_labels.npy``,
``test_labels.npy`` (int64) and ``pack.json``. It is complete or it is not there: it is written under a temporary name
and renamed when everything is on disk.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from worker.simclr.data.dataset import ImageDataset, Images

FORMAT = 1
SPLITS = ("train", "test")
_ABANDONED_AFTER_SECONDS = 24 * 3600
_CHUNK = 1 << 22


class PackDamagedError(Exception):
    """A pack is missing, incomplete or not what its hash says; the message says what to do."""


class PackWriter:
    """Writes a pack image by image; ``finish`` gives it its name. Leaving the ``with`` block without it leaves nothing.

    Raises OSError where the disk is full.
    """

    def __init__(self, packs: Path, classes: tuple[str, ...], image_size: int) -> None:
        packs.mkdir(parents=True, exist_ok=True)
        remove_abandoned(packs)
        self._packs = packs
        self._classes = classes
        self._image_size = image_size
        self._folder = Path(tempfile.mkdtemp(prefix=".importing-", dir=packs))
        self._files = {split: (self._folder / f"{split}.bin").open("wb") for split in SPLITS}
        self.labels: dict[str, list[int]] = {split: [] for split in SPLITS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, split: str, pixels: npt.NDArray[np.uint8], label: int) -> None:
        """Append one image, uint8 (3, S, S)."""
        self._files[split].write(np.ascontiguousarray(pixels).data)
        self.labels[split].append(label)

    def finish(self) -> tuple[str, Path]:
        """Make the pack durable; returns its SHA-256 and its folder.

        A pack of that name that is there already is kept where it verifies and replaced where it is damaged.
        """
        for split, file in self._files.items():
            file.close()
            np.save(self._folder / f"{split}_labels.npy", np.array(self.labels[split], dtype=np.int64))
        sha256 = content_sha256(self._folder, self._classes, self._image_size)
        description = {
            "format": FORMAT,
            "sha256": sha256,
            "classes": list(self._classes),
            "image_size": self._image_size,
            "channels": 3,
            "train_images": len(self.labels["train"]),
            "test_images": len(self.labels["test"]),
        }
        (self._folder / "pack.json").write_text(json.dumps(description, indent=1))
        for path in [*self._folder.iterdir(), self._folder]:
            with _descriptor(path) as descriptor:
                os.fsync(descriptor)
        target = self._packs / sha256
        if target.exists() and not _is_sound(target):
            shutil.rmtree(target, ignore_errors=True)
        try:
            self._folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise  # otherwise an equal pack is there already, perhaps since a moment ago
        with _descriptor(self._packs) as descriptor:
            os.fsync(descriptor)
        return sha256, target


def load_pack(directory: Path, *, verify: bool = False) -> ImageDataset:
    """The dataset of a pack; pixels are memory-mapped, uint8 (N, 3, S, S).

    With ``verify`` the content is hashed first (reads everything). Raises PackDamagedError.
    """
    try:
        description = json.loads((directory / "pack.json").read_text())
        classes, size = tuple(description["classes"]), int(description["image_size"])
        splits = {split: _load_split(directory, split, int(description[f"{split}_images"]), size) for split in SPLITS}
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise PackDamagedError(
            f"The pack {directory.name} cannot be read ({error}): import the dataset again."
        ) from error
    if verify and content_sha256(directory, classes, size) != description["sha256"]:
        raise PackDamagedError(f"The pack {directory.name} has changed since its import: import the dataset again.")
    return ImageDataset(train=splits["train"], test=splits["test"], classes=classes)


def content_sha256(directory: Path, classes: tuple[str, ...], image_size: int) -> str:
    """SHA-256 over format, classes, image size, labels and pixels."""
    digest = hashlib.sha256(json.dumps([FORMAT, list(classes), image_size]).encode())
    for split in SPLITS:
        digest.update(np.load(directory / f"{split}_labels.npy").astype("<i8").tobytes())
        with (directory / f"{split}.bin").open("rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
    return digest.hexdigest()


def remove_abandoned(packs: Path) -> None:
    """Remove what a killed import left a day or more ago."""
    for folder in packs.glob(".importing-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _is_sound(directory: Path) -> bool:
    try:
        load_pack(directory, verify=True)
    except PackDamagedError:
        return False
    return True


def _load_split(directory: Path, split: str, count: int, size: int) -> Images:
    labels = np.load(directory / f"{split}_labels.npy")
    if count == 0:
        return Images(torch.zeros(0, 3, size, size, dtype=torch.uint8), torch.from_numpy(labels))
    # Copy-on-write: torch wants memory that could be written to, and the file must never be.
    pixels = np.memmap(directory / f"{split}.bin", dtype=np.uint8, mode="c", shape=(count, 3, size, size))
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))


@contextmanager
def _descriptor(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
