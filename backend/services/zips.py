"""A first look at a zip, quick enough for the person who uploads it to wait for: is it one, and are its names safe."""

import zipfile
from pathlib import Path, PurePosixPath

from backend.services.errors import InvalidError

_ENCRYPTED = 0x1


def check_zip(path: Path, *, field: str) -> None:
    """Raise InvalidError about ``field`` where the file cannot be imported. Images are looked at by the worker."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError) as error:
        raise InvalidError.field(field, f"this is no zip file, or a damaged one ({error})") from error
    files = [member for member in members if not member.is_dir()]
    if not files:
        raise InvalidError.field(field, "the zip holds no file")
    for member in files:
        if _leads_outside(member.filename):
            raise InvalidError.field(
                field, f"the zip holds the name '{member.filename}', which leads outside of it: pack the folder anew"
            )
        if member.flag_bits & _ENCRYPTED:
            raise InvalidError.field(field, f"'{member.filename}' is encrypted: pack the folder without a password")


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")
