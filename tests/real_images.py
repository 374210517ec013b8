"""Real images for tests: where they lie on this machine, if they do. They are no part of the project."""

import os
from pathlib import Path

import pytest


def real_images(name: str) -> Path:
    """The file ``name`` of the real images; the test is skipped where there is none.

    It is looked for in ``$SIMCLR_LAB_TEST_DATA`` and in a folder ``shared/data`` beside any folder that this file is in.
    """
    given = os.environ.get("SIMCLR_LAB_TEST_DATA")
    folders = [Path(given)] if given else [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"needs {name} in $SIMCLR_LAB_TEST_DATA or in a folder shared/data next to the project")
