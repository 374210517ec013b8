"""Packs: a dataset decoded once into uint8 arrays on disk, named by the SHA-256 of its content.

A pack is a folder with ``train.bin``, ``test.bin`` and ``unlabelled.bin`` (raw uint8 pixels, N x C x S x S),
``train_labels.npy`` and ``test_labels.npy`` (int64), and ``pack.json``. It is complete or it is not there: it is written
under a temporary name and renamed when everything is on disk. The content is hashed while it is written, so that a pack
larger than memory is not read again. Packs of format 1 (RGB, without ``unlabelled.bin``) can be read.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.data.moments import ChannelMoments

FORMAT = 2
LABELLED = ("train", "test")
SPLITS = (*LABELLED, "unlabelled")
_ABANDONED_AFTER_SECONDS = 24 * 3600
_CHUNK = 1 << 22


class PackDamagedError(Exception):
    """A pack is missing, incomplete or not what its hash says; the message says what to do."""


class PackWriter:
    """Writes a pack image by image; ``finish`` gives it its name. Leaving the ``with`` block without it leaves nothing.

    Raises OSError where the disk is full.
    """

    def __init__(self, packs: Path, classes: tuple[str, ...], image_size: int, channels: int = 3) -> None:
        packs.mkdir(parents=True, exist_ok=True)
        remove_abandoned(packs)
        self._packs = packs
        self.classes = classes
        self.image_size = image_size
        self.channels = channels
        self._folder = Path(tempfile.mkdtemp(prefix=".importing-", dir=packs))
        self._files = {split: (self._folder / f"{split}.bin").open("wb") for split in SPLITS}
        self._hashes = {split: hashlib.sha256() for split in SPLITS}
        self.labels: dict[str, list[int]] = {split: [] for split in LABELLED}
        self.counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
        self.moments = {split: ChannelMoments(channels) for split in SPLITS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, split: str, pixels: npt.NDArray[np.uint8], label: int | None = None) -> None:
        """Append one image, uint8 (C, S, S), with its label where the split has labels. Raises ValueError else."""
        shape = (self.channels, self.image_size, self.image_size)
        if pixels.shape != shape:
            raise ValueError(f"the image is {pixels.shape} in a pack of {shape}")
        content = np.ascontiguousarray(pixels)
        if split in self.labels:
            if label is None:
                raise ValueError(f"an image of '{split}' needs a label")
            self.labels[split].append(label)
        self._files[split].write(content.data)
        self._hashes[split].update(content.data)
        self.moments[split].add(content)
        self.counts[split] += 1

    def finish(self) -> tuple[str, Path]:
        """Make the pack durable; returns its SHA-256 and its folder.

        A pack of that name that is there already is kept where it verifies and replaced where it is damaged.
        """
        for file in self._files.values():
            file.close()
        labels = {split: np.array(found, dtype=np.int64) for split, found in self.labels.items()}
        for split, found in labels.items():
            np.save(self._folder / f"{split}_labels.npy", found, allow_pickle=False)
        pixels = {split: digest.digest() for split, digest in self._hashes.items()}
        sha256 = _content_sha256([FORMAT, list(self.classes), self.image_size, self.channels], labels, pixels)
        description = {
            "format": FORMAT,
            "sha256": sha256,
            "classes": list(self.classes),
            "image_size": self.image_size,
            "channels": self.channels,
            **{f"{split}_images": count for split, count in self.counts.items()},
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
    """The dataset of a pack; pixels are memory-mapped, uint8 (N, C, S, S).

    With ``verify`` the content is hashed first (reads everything). Raises PackDamagedError.
    """
    try:
        description = json.loads((directory / "pack.json").read_text())
        if int(description["format"]) > FORMAT:
            raise PackDamagedError(f"The pack {directory.name} was made by a newer version: update this one.")
        pixels = {split: _load_pixels(directory, split, description) for split in SPLITS}
        labels = {split: _load_labels(directory, split, len(pixels[split])) for split in LABELLED}
        dataset = ImageDataset(
            train=Images(pixels["train"], labels["train"]),
            test=Images(pixels["test"], labels["test"]),
            classes=tuple(description["classes"]),
            unlabelled=pixels["unlabelled"] if len(pixels["unlabelled"]) else None,
        )
        is_sound = not verify or content_sha256(directory, description) == description["sha256"]
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise PackDamagedError(
            f"The pack {directory.name} cannot be read ({error}): import the dataset again."
        ) from error
    if not is_sound:
        raise PackDamagedError(f"The pack {directory.name} has changed since its import: import the dataset again.")
    return dataset


def content_sha256(directory: Path, description: Mapping[str, Any]) -> str:
    """SHA-256 over format, classes, image size, channels, labels and pixels, as its format defines it; reads all."""
    head = [description["format"], list(description["classes"]), description["image_size"]]
    labels = {split: np.load(directory / f"{split}_labels.npy", allow_pickle=False) for split in LABELLED}
    if description["format"] == 1:
        digest = hashlib.sha256(json.dumps(head).encode())
        for split in LABELLED:
            digest.update(labels[split].astype("<i8").tobytes())
            for chunk in _chunks(directory / f"{split}.bin"):
                digest.update(chunk)
        return digest.hexdigest()
    pixels: dict[str, bytes] = {}
    for split in SPLITS:
        digest = hashlib.sha256()
        for chunk in _chunks(directory / f"{split}.bin"):
            digest.update(chunk)
        pixels[split] = digest.digest()
    return _content_sha256([*head, description["channels"]], labels, pixels)


def remove_abandoned(packs: Path) -> None:
    """Remove what a killed import left a day or more ago."""
    for folder in packs.glob(".importing-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _content_sha256(head: list[Any], labels: Mapping[str, npt.NDArray[np.int64]], pixels: Mapping[str, bytes]) -> str:
    """Format 2: over the head, the labels and the SHA-256 of each split's pixels."""
    digest = hashlib.sha256(json.dumps(head).encode())
    for split in LABELLED:
        digest.update(labels[split].astype("<i8").tobytes())
    for split in SPLITS:
        digest.update(pixels[split])
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _is_sound(directory: Path) -> bool:
    try:
        load_pack(directory, verify=True)
    except PackDamagedError:
        return False
    return True


def _load_pixels(directory: Path, split: str, description: Mapping[str, Any]) -> torch.Tensor:
    size = int(description["image_size"])
    shape = (int(description.get(f"{split}_images", 0)), int(description["channels"]), size, size)
    if shape[0] == 0:
        return torch.zeros(shape, dtype=torch.uint8)
    # Copy-on-write: torch wants memory that could be written to, and the file must never be.
    return torch.from_numpy(np.memmap(directory / f"{split}.bin", dtype=np.uint8, mode="c", shape=shape))


def _load_labels(directory: Path, split: str, count: int) -> torch.Tensor:
    labels = np.load(directory / f"{split}_labels.npy", allow_pickle=False)
    if labels.shape != (count,):
        raise ValueError(f"{count} images and {len(labels)} labels in '{split}'")
    return torch.from_numpy(labels)


@contextmanager
def _descriptor(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
