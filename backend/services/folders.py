"""Removing folders of the data directory: never outside the place they belong to, never through a link."""

import logging
import shutil
from pathlib import Path

_LOG = logging.getLogger(__name__)


def remove(root: Path, *parts: str) -> None:
    """Remove the folder ``root/parts`` with all it holds; where it is a link, only the link. What is not there is fine.

    Where a folder on the way is a link, nothing is removed: what lies behind it is not ours. What cannot be removed
    is logged and stays. Raises ValueError for a part that is no plain name.
    """
    folder = root
    for part in parts:
        if folder is not root and folder.is_symlink():
            return
        if part in {"", ".", ".."} or "/" in part or "\\" in part or "\0" in part:
            raise ValueError(f"{part!r} is no name of a folder")
        folder /= part
    try:
        if folder.is_symlink():
            folder.unlink(missing_ok=True)
        elif folder.exists():
            shutil.rmtree(folder)
    except OSError:
        _LOG.warning("cannot remove %s: remove it by hand", folder, exc_info=True)
