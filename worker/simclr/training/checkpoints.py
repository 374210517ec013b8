"""Checkpoints: files ``ck-{step}-a{attempt}`` that are either complete or not there, and are known by their SHA-256."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk."""

    name: str
    step: int
    sha256: str
    size_bytes: int


def save_checkpoint(folder: Path, state: dict[str, Any], *, step: int, attempt: int) -> Checkpoint:
    """Write ``state`` (tensors, numbers, strings, lists and dicts) so that the name appears only when all is on disk.

    A crash at any moment leaves the earlier checkpoints as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"ck-{step}-a{attempt}"
    temporary = folder / f".{name}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    sha256, size = file_sha256(temporary), temporary.stat().st_size
    temporary.replace(folder / name)
    fsync_folder(folder)
    return Checkpoint(name, step, sha256, size)


def prune_checkpoints(folder: Path, *, attempt: int) -> None:
    """Remove all but the two newest of this attempt and those before it (a later attempt's are not ours to judge)."""
    found = [(number, step, path) for number, step, path in _checkpoints(folder) if number <= attempt]
    for _, _, path in sorted(found)[:-KEPT]:
        path.unlink(missing_ok=True)


def _checkpoints(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(attempt, step, path) of every checkpoint in the folder."""
    for path in folder.glob("ck-*-a*"):
        _, step, attempt = path.name.split("-")
        yield int(attempt.removeprefix("a")), int(step), path


def load_checkpoint(folder: Path, name: str, sha256: str) -> dict[str, Any] | None:
    """The state, if the file is there and is the one of this hash; None otherwise. Runs no code from the file."""
    path = folder / name
    if not path.is_file() or file_sha256(path) != sha256:
        return None
    return cast("dict[str, Any]", torch.load(path, map_location="cpu", weights_only=True))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut (POSIX: the entry is the folder's data)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
