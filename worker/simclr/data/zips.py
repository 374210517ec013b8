"""A zip of images, read without being unpacked. What its directory says is not believed: every limit holds while reading.

zipfile itself sees to it that no more comes out of a file than the directory says, and that the checksum is right.
"""

import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from worker.simclr.data.names import check_name
from worker.simclr.data.refusal import ImportRefusedError

MAX_ENTRIES = 2_000_000
MAX_DIRECTORY_BYTES = 512 << 20
MAX_FILE_BYTES = 256 << 20
MAX_TOTAL_BYTES = 1 << 40
MAX_RATIO = 200
_RATIO_MATTERS_ABOVE = 1 << 20
_PIECE = 1 << 18
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""No others: zipfile unpacks a piece of bzip2 or LZMA whole, however large it becomes."""
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError)
"""What zipfile raises of damaged zips."""


@contextmanager
def open_zip(path: Path) -> Generator["ZipSource"]:
    """Open a zip. Raises ImportRefusedError where it is none, or too large."""
    with _ZipFile(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (*_ERRORS, OSError) as error:
            raise ImportRefusedError(
                "This is not a zip file, or it is cut off. Make it again and upload it."
            ) from error
        with archive:
            yield ZipSource(archive, path.stat().st_size)


class _ZipFile(io.FileIO):
    """A zip's bytes. Its directory is refused before it is parsed, which takes ten times its memory.

    zipfile reads the directory in one piece and everything else in small ones, whatever it says of its own size.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file. Raises ImportRefusedError."""
        asked = MAX_DIRECTORY_BYTES + 1 if size is None or size < 0 else min(size, MAX_DIRECTORY_BYTES + 1)
        content = super().read(asked)
        if len(content) > MAX_DIRECTORY_BYTES:
            raise ImportRefusedError(f"The zip's directory is larger than {MAX_DIRECTORY_BYTES >> 20} MiB. {_SPLIT}")
        if asked > _PIECE and content.count(_ENTRY) > MAX_ENTRIES:
            raise ImportRefusedError(f"The zip holds more than {MAX_ENTRIES:,} files. {_SPLIT}")
        return content


_SPLIT = "Import the folder that it was made of, on the server."


class ZipSource:
    """A zip as a ``Source``."""

    def __init__(self, archive: zipfile.ZipFile, size_bytes: int) -> None:
        self._archive = archive
        self._size_bytes = size_bytes
        self._infos: dict[str, zipfile.ZipInfo] = {}

    def names(self) -> list[str]:
        """Names of all files, in the composed Unicode form. Raises ImportRefusedError where the zip is not to be trusted."""
        self._infos = {}
        for info in self._archive.infolist():
            check_name(info.orig_filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ImportRefusedError(f"The zip holds a symbolic link: '{info.filename}'. Replace it by the file.")
        infos = [info for info in self._archive.infolist() if not info.is_dir()]
        for info in infos:
            name = unicodedata.normalize("NFC", info.filename)
            if name in self._infos:
                raise ImportRefusedError(f"The zip holds two files of the name '{name}'. Make it again.")
            self._infos[name] = info
        self._check_sizes(infos)
        return list(self._infos)

    def read(self, name: str) -> bytes:
        """A file's content. Raises ValueError, OSError."""
        info = self._infos[name]
        if info.file_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        if info.file_size > _RATIO_MATTERS_ABOVE and info.file_size > MAX_RATIO * info.compress_size:
            raise ValueError("suspiciously compressed")
        if info.flag_bits & _ENCRYPTED:
            raise ValueError("is encrypted: make the zip without a password")
        if info.compress_type not in _METHODS:
            raise ValueError("is compressed in a rare way: make the zip with the usual one (deflate)")
        content = bytearray()
        try:
            with self._archive.open(info) as file:
                while piece := file.read(_PIECE):
                    content += piece
        except _ERRORS as error:
            raise ValueError(f"cannot be unpacked ({error})") from error
        return bytes(content)

    def notes(self) -> list[str]:
        """None."""
        return []

    def _check_sizes(self, infos: list[zipfile.ZipInfo]) -> None:
        if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            raise ImportRefusedError(f"The zip holds more than {MAX_TOTAL_BYTES >> 30} GiB when unpacked. {_SPLIT}")
        if sum(info.compress_size for info in infos) > self._size_bytes:
            raise ImportRefusedError("The files in the zip overlap: it is damaged or a trap. Make it again.")
