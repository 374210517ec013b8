"""Receiving a file: in the end it is complete and in place, or there is nothing of it."""

import errno
import hashlib
import os
import secrets
from pathlib import Path
from typing import Self

from backend.services.errors import NoSpaceError, TooLargeError

PART_SUFFIX = ".part"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class IncomingFile:
    """A file that is being received into ``folder``. Used as a context: what is not kept at its end is removed.

    ``write`` raises TooLargeError above ``limit`` bytes and NoSpaceError where the disk is full.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f".{secrets.token_hex(16)}{PART_SUFFIX}"
        self.size_bytes = 0
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file = self.path.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._limit:
            raise TooLargeError(f"The file is larger than the limit of {self._limit} bytes.")
        self._hash.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _told(error) from error

    def finish(self) -> None:
        """All has come: bring it to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise _told(error) from error

    def keep_as(self, path: Path) -> None:
        """Give the finished file its name, in place of a file that has it."""
        self.path.replace(path)


def _told(error: OSError) -> Exception:
    if error.errno in _FULL:
        return NoSpaceError("The disk that holds the data directory is full: free some space and try again.")
    return error
