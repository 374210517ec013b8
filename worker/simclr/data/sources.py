"""What a person brings: a zip or a folder of images, one folder a class, checked before anything is decoded."""

import re
import stat
import zipfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
TEST_NAMES = frozenset({"test", "val", "valid", "validation"})
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

    def read(self, name: str) -> bytes:
        """The content of one file. Raises OSError or ValueError."""
        ...


@dataclass(frozen=True)
class Entry:
    """One image file: where it is, its class, and its split (None: the seed decides)."""

    name: str
    label: str
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
    parts = _without_wrapping_folders([PurePosixPath(name).parts for name in names])
    with_splits = all(part[0].lower() == "train" or part[0].lower() in TEST_NAMES for part in parts)
    entries: list[Entry] = []
    for name, part in zip(names, parts, strict=True):
        inside = part[1:] if with_splits else part
        if len(inside) < 2:
            raise ImportRefusedError(
                f"'{name}' lies in no class folder. Put every image into a folder named after its class."
            )
        split = None if not with_splits else ("train" if part[0].lower() == "train" else "test")
        entries.append(Entry(name=name, label=inside[0], split=split))
    labels = {entry.label for entry in entries if entry.split != "test"}
    if len(labels) < 2:
        raise ImportRefusedError("There is only one class. Put the images of each class into a folder of its own.")
    strangers = sorted({entry.label for entry in entries} - labels)
    if strangers:
        raise ImportRefusedError(f"The test images have a class that the training images have not: {strangers[0]}.")
    return entries


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
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES


def _without_wrapping_folders(parts: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop folders that hold everything, such as the one named after the zip."""
    while True:
        first = Counter(part[0] for part in parts)
        only = next(iter(first))
        if len(first) > 1 or any(len(part) <= 2 for part in parts) or only.lower() == "train":
            return parts
        parts = [part[1:] for part in parts]


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        return [
            path.relative_to(self._root).as_posix()
            for path in self._root.rglob("*")
            if path.is_file() and not path.is_symlink()
        ]

    def read(self, name: str) -> bytes:
        path = self._root / name
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return path.read_bytes()


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

    def read(self, name: str) -> bytes:
        info = self._archive.getinfo(name)
        if info.file_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        if info.file_size > _RATIO_MATTERS_ABOVE and info.file_size > MAX_RATIO * info.compress_size:
            raise ValueError("suspiciously compressed")
        try:
            with self._archive.open(info) as file:
                return file.read(MAX_FILE_BYTES)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise ValueError(f"cannot be unpacked ({error})") from error
