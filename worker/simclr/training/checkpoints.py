"""Checkpoints: files ``ck-{step}-a{attempt}`` that are either complete or not there, and are known by their SHA-256."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from worker.simclr.disk import whole_file

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
    name = f"ck-{step}-a{attempt}"
    with whole_file(folder / name) as file:
        torch.save(state, file)
    return Checkpoint(name, step, file_sha256(folder / name), (folder / name).stat().st_size)


def prune_checkpoints(folder: Path, good: Sequence[str], *, attempt: int) -> None:
    """Remove all checkpoints of this attempt and of those before it but the first ``KEPT`` of ``good``, newest first.

    What is damaged or was never announced is not among the good ones and takes no place of theirs. A later attempt's
    are not ours to judge.
    """
    for path in _of_attempts(folder, r"ck-\d+-a(\d+)", attempt):
        if path.name not in good[:KEPT]:
            path.unlink(missing_ok=True)


def remove_unfinished(folder: Path, *, attempt: int) -> None:
    """Remove what attempts up to this one, killed while they saved, have left."""
    for path in _of_attempts(folder, r"\.ck-\d+-a(\d+)\.tmp", attempt):
        path.unlink(missing_ok=True)


def _of_attempts(folder: Path, pattern: str, last: int) -> Iterator[Path]:
    """The files whose name matches and names an attempt up to ``last``."""
    for path in folder.iterdir() if folder.is_dir() else ():
        match = re.fullmatch(pattern, path.name)
        if match and int(match[1]) <= last:
            yield path


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
