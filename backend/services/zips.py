"""A first look at a zip, quick enough for the person who uploads it to wait for: is it one, and are its names safe.

The worker that imports it looks closer, and is the one that trusts nothing.
"""

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

from backend.services.errors import InvalidError

MAX_ENTRIES = 2_000_000
"""Files in a zip, the worker's limit too: more are imported from a folder on the server."""
MAX_DIRECTORY_BYTES = 512 << 20
_SMALL_BYTES = 1 << 18
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1


def check_zip(path: Path, *, field: str) -> None:
    """Raise InvalidError about ``field`` where the file cannot be imported. Images are looked at by the worker."""
    try:
        with _ZipFile(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except _TooManyError as error:
        raise InvalidError.field(field, str(error)) from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        raise InvalidError.field(field, f"this is no zip file, or a damaged one ({error})") from error
    files = [member for member in members if not member.filename.endswith("/")]
    if not files:
        raise InvalidError.field(field, "the zip holds no file")
    for member in files:
        name = member.orig_filename
        if _leads_outside(name):
            raise InvalidError.field(
                field, f"the zip holds the name {name!r}, which leads outside of it: pack the folder anew"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InvalidError.field(field, f"{name!r} is a symbolic link: put the file in its place")
        if member.flag_bits & _ENCRYPTED:
            raise InvalidError.field(field, f"{name!r} is encrypted: pack the folder without a password")


class _TooManyError(Exception):
    """More files than one zip may hold."""


class _ZipFile(io.FileIO):
    """A zip's bytes; its directory, which zipfile reads in one piece, is counted before it is parsed."""

    def read(self, size: int | None = -1, /) -> bytes:
        asked = MAX_DIRECTORY_BYTES + 1 if size is None or size < 0 else min(size, MAX_DIRECTORY_BYTES + 1)
        content = super().read(asked)
        if len(content) > MAX_DIRECTORY_BYTES or (asked > _SMALL_BYTES and content.count(_ENTRY) > MAX_ENTRIES):
            raise _TooManyError(
                f"the zip holds more than {MAX_ENTRIES:,} files: import the folder that it was made of, on the server"
            )
        return content


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return "\0" in name or path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")
