"""What a person brings: a zip or a folder of images, checked before anything is decoded.

Images lie in one folder a class, below ``train/`` and ``test/`` or without them. Beside these, a folder
``unlabelled/`` holds images without a class, however it is divided; a folder that holds nothing but images has no
classes either.
"""

import lzma
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".npy"})
TEST_NAMES = frozenset({"test", "val", "valid", "validation"})
UNLABELLED_NAMES = frozenset({"unlabelled", "unlabeled"})
MAX_ENTRIES = 5_000_000
MAX_FILE_BYTES = 256 << 20
MAX_RATIO = 200
_RATIO_MATTERS_ABOVE = 1 << 20
_WINDOWS_DRIVE = re.compile(r"^[A-Za-z]:")


class ImportRefusedError(Exception):
    """The images cannot be imported; the message says why and what to do."""


class Source(Protocol):
    """Files by name."""

    def names(self) -> list[str]:
        """Names of all files, with '/' between folders."""
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """One file to read from. Raises OSError or ValueError, also while it is read."""
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
        yield _Folder(path)
        return
    if not path.is_file():
        raise ImportRefusedError(f"There is no file or folder {path.name}.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ImportRefusedError("This is not a zip file, or it is cut off. Make it again and upload it.") from error
    with archive:
        yield _Zip(archive)


def list_entries(source: Source) -> list[Entry]:
    """The image files with class and split, sorted by name. Raises ImportRefusedError where the layout is not known."""
    names = sorted(name for name in source.names() if _is_image(name))
    if not names:
        raise ImportRefusedError("There are no images in it. Put one folder a class into it, each with image files.")
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
    return Entry(name, sys.intern(inside[0]), _split_named(part[0]) if with_splits else None)


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


def check_name(name: str) -> None:
    """Raises ImportRefusedError where a name could lead out of the import or hide what it is."""
    if (
        "\0" in name
        or "\\" in name
        or name.startswith("/")
        or _WINDOWS_DRIVE.match(name)
        or ".." in PurePosixPath(name).parts
    ):
        shown = name.replace("\0", "\\0")[:100]
        raise ImportRefusedError(f"The zip holds a forbidden name: '{shown}'. Make it again from inside the folder.")


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


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        return list(_files_below(self._root))

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        path = self._root / name
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return path.open("rb")


def _files_below(folder: Path | str, prefix: str = "") -> Iterator[str]:
    """Names of all files; links are not followed. One call a folder, none a file: there may be millions."""
    with os.scandir(folder) as found:
        for item in found:
            if item.is_dir(follow_symlinks=False):
                yield from _files_below(item.path, f"{prefix}{item.name}/")
            elif item.is_file(follow_symlinks=False):
                yield prefix + item.name


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def names(self) -> list[str]:
        infos = self._archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise ImportRefusedError(f"The zip holds {len(infos)} files, more than {MAX_ENTRIES}.")
        for info in infos:
            check_name(info.orig_filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ImportRefusedError(f"The zip holds a symbolic link: '{info.filename}'. Replace it by the file.")
        return [info.filename for info in infos if not info.is_dir()]

    @contextmanager
    def open(self, name: str) -> Generator[IO[bytes]]:
        info = self._archive.getinfo(name)
        if info.file_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        if info.file_size > _RATIO_MATTERS_ABOVE and info.file_size > MAX_RATIO * info.compress_size:
            raise ValueError("suspiciously compressed")
        try:
            with self._archive.open(info) as file:
                yield file
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError) as error:
            raise ValueError(f"cannot be unpacked ({error})") from error
