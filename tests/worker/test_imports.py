"""An import as the backend hears of it."""

import numpy as np
import pytest
from PIL import Image

from backend.contracts.datasets import ImportJob
from worker.imports import run_import
from worker.settings import Settings
from worker.simclr.data.pack import load_pack


class Backend:
    def __init__(self):
        self.reports = []

    def report_import(self, _name, report):
        self.reports.append(report)


@pytest.fixture
def photos(tmp_path):
    """A folder of 2 classes of 60 images, larger as a pack than a small disk."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(60):
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_disk_that_fills_while_it_is_imported_leaves_nothing_and_the_same_import_succeeds_later(
    small_disk, photos, monkeypatch
):
    settings, backend = Settings(home=small_disk), Backend()
    fields = {
        "name": "pets",
        "import_id": "i1",
        "source": "folder",
        "source_path": str(photos),
        "image_size": 128,
        "test_share": 0.2,
    }
    job = ImportJob.model_validate(fields)
    monkeypatch.setattr(
        "worker.simclr.data.importing._check_room", lambda *_: None
    )  # as if others had used it up since

    run_import(job, backend, settings, lambda: False)
    failed = backend.reports[-1]
    assert failed.state == "failed"
    assert "disk is full" in failed.error
    assert "import again" in failed.error
    assert [path.name for path in settings.packs_dir.rglob("*")] == []

    smaller = job.model_copy(update={"image_size": 16})
    run_import(smaller, backend, settings, lambda: False)
    assert backend.reports[-1].state == "ready"
    load_pack(settings.packs_dir / backend.reports[-1].pack_sha256, verify=True)
