"""A folder of images: links are not followed, and what is no plain file is not opened."""

import os
import stat
from pathlib import Path

from worker.simclr.data.names import check_text
from worker.simclr.data.zips import MAX_FILE_BYTES


class Folder:
    """A folder as a ``Source``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._links = 0

    def names(self) -> list[str]:
        """Names of all files. Raises ImportRefusedError where one is no text."""
        self._links = 0
        found: list[str] = []
        folders = [""]
        while folders:
            prefix = folders.pop()
            with os.scandir(self._root / prefix) as items:  # one call a folder, none a file: there may be millions
                for item in items:
                    if item.is_symlink():
                        self._links += 1
                    elif item.is_dir(follow_symlinks=False):
                        folders.append(f"{prefix}{item.name}/")
                    elif item.is_file(follow_symlinks=False):
                        check_text(item.name)
                        found.append(prefix + item.name)
        return found

    def read(self, name: str) -> bytes:
        """A file's content. Raises OSError and ValueError."""
        # a link or a pipe may have taken the file's place meanwhile
        descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (an open file, not a path)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is no file")
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return content

    def notes(self) -> list[str]:
        """Whether there were links."""
        if not self._links:
            return []
        return [f"Links are not followed: {self._links:,} left out. Put files and folders in their place."]
