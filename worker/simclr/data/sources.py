"""What a person brings: a zip or a folder of images, checked before anything is decoded.

Images lie in one folder a class, below ``train/`` and ``test/`` or without them. Beside these, a folder
``unlabelled/`` holds images without a class, however it is divided; a folder that holds nothing but images has no
classes either.
"""

import os
import sys
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.simclr.data.folders import Folder
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.zips import open_zip

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".npy"})
TEST_NAMES = frozenset({"test", "val", "valid", "validation"})
UNLABELLED_NAMES = frozenset({"unlabelled", "unlabeled"})


class Source(Protocol):
    """Files by name."""

    def names(self) -> list[str]:
        """Names of all files, with '/' between folders."""
        ...

    def read(self, name: str) -> bytes:
        """The content of a file. Raises OSError, or ValueError with the reason, where it cannot be had."""
        ...

    def notes(self) -> list[str]:
        """What a person should know of what was left out."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One image file: where it is, its class (None: unlabelled), and its split (None: the seed decides)."""

    name: str
    label: str | None
    split: str | None


@contextmanager
def open_source(path: Path) -> Generator[Source]:
    """Open a zip or a folder. Raises ImportRefusedError."""
    if path.is_dir():
        yield Folder(path)
        return
    if not path.is_file():
        raise ImportRefusedError(f"There is no file or folder {path.name}.")
    with open_zip(path) as archive:
        yield archive


def list_entries(source: Source) -> list[Entry]:
    """The image files with class and split, sorted by name. Raises ImportRefusedError where the layout is not known."""
    names = sorted(name for name in source.names() if _is_image(name))
    if not names:
        left_out = "".join(f" {note}" for note in source.notes())
        raise ImportRefusedError(
            f"There are no images in it. Put one folder a class into it, each with image files.{left_out}"
        )
    parts = _without_wrapping_folders([_parts(name) for name in names])
    rest = [part for part in parts if part[0].lower() not in UNLABELLED_NAMES]
    with_splits = bool(rest) and all(_split_named(part[0]) for part in rest)
    has_classes = any(len(part) > 1 for part in rest)
    entries = [
        _entry(name, part, with_splits=with_splits, has_classes=has_classes)
        for name, part in zip(names, parts, strict=True)
    ]
    if has_classes:
        _check_labels(entries)
    return entries


def _entry(name: str, part: tuple[str, ...], *, with_splits: bool, has_classes: bool) -> Entry:
    if not has_classes or part[0].lower() in UNLABELLED_NAMES:
        return Entry(name, None, "unlabelled")
    inside = part[1:] if with_splits else part
    if len(inside) < 2:
        raise ImportRefusedError(
            f"'{name}' lies in no class folder. Put every image into a folder named after its class, or into a folder "
            "'unlabelled' if it has none."
        )
    return Entry(
        name, sys.intern(unicodedata.normalize("NFC", inside[0])), _split_named(part[0]) if with_splits else None
    )


def _check_labels(entries: list[Entry]) -> None:
    labels = {entry.label for entry in entries if entry.label is not None and entry.split != "test"}
    if len(labels) < 2:
        raise ImportRefusedError("There is only one class. Put the images of each class into a folder of its own.")
    strangers = sorted({entry.label for entry in entries if entry.label is not None} - labels)
    if strangers:
        raise ImportRefusedError(f"The test images have a class that the training images have not: {strangers[0]}.")


def _split_named(folder: str) -> str | None:
    """The labelled split that a folder's name stands for."""
    name = folder.lower()
    return "train" if name == "train" else "test" if name in TEST_NAMES else None


def _is_image(name: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in _parts(name))
    return not hidden and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (a Path costs ten times more)


def _parts(name: str) -> tuple[str, ...]:
    """Folders and file of a name."""
    return tuple(part for part in name.split("/") if part not in {"", "."})


def _without_wrapping_folders(parts: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop folders that hold everything, such as the one named after the zip; but not one with a meaning."""
    while True:
        first = {part[0] for part in parts}
        has_meaning = min(first).lower() in UNLABELLED_NAMES | {"train"}
        if len(first) > 1 or has_meaning or any(len(part) < 2 for part in parts):
            return parts
        parts = [part[1:] for part in parts]
