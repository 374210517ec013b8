"""Importing a dataset for the backend: the science does the work, this module reports on it."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.datasets import BrokenFile, DatasetStats, ImportJob, ImportReport
from worker.settings import Settings
from worker.simclr.data.imported import ImportedPack
from worker.simclr.data.importing import import_images
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.torchvision_datasets import import_known

LOG = logging.getLogger(__name__)
REPORT_SECONDS = 1.0
LONGEST_PAUSE = 5.0


class ImportsApi(Protocol):
    """The part of ``backend.client.Client`` that importing needs."""

    def report_import(self, name: str, report: ImportReport) -> None: ...


class AbandonedError(Exception):
    """Nobody wants this import any more, or the worker shuts down (then the backend sends it again)."""


def run_import(job: ImportJob, api: ImportsApi, settings: Settings, is_draining: Callable[[], bool]) -> None:
    """Import, and report progress, then the pack or why there is none."""
    reporter = Reporter(job, api, is_draining)
    try:
        with reporter.reporting():
            report = _import(job, settings, reporter.progress)
        reporter.insist(report)
    except AbandonedError as error:
        LOG.info("import of %s abandoned: %s", job.name, error)


def _import(job: ImportJob, settings: Settings, on_progress: Callable[[float], None]) -> ImportReport:
    try:
        pack = _imported(job, settings, on_progress)
    except ImportRefusedError as error:
        return ImportReport(import_id=job.import_id, state="failed", error=str(error)[:20_000])
    except AbandonedError:
        raise
    except Exception as error:  # noqa: BLE001 (the last place that can tell a person what happened)
        LOG.error("import of %s failed: %s", job.name, traceback.format_exc())  # noqa: TRY400
        return ImportReport(import_id=job.import_id, state="failed", error=f"{type(error).__name__}: {error}"[:20_000])
    return ImportReport(
        import_id=job.import_id, state="ready", progress=1.0, pack_sha256=pack.sha256, stats=stats_of(pack)
    )


def _imported(job: ImportJob, settings: Settings, on_progress: Callable[[float], None]) -> ImportedPack:
    if job.source == "torchvision":
        return import_known(
            job.name,
            settings.packs_dir,
            settings.downloads_dir,
            image_size=job.image_size,
            channels=job.channels,
            on_progress=on_progress,
        )
    if job.source_path is None:
        raise ImportRefusedError("The request names no folder or zip file.")
    return import_images(
        Path(job.source_path),
        settings.packs_dir,
        image_size=job.image_size,
        test_share=job.test_share,
        channels=job.channels,
        on_progress=on_progress,
    )


def stats_of(pack: ImportedPack) -> DatasetStats:
    """What the import found, as the API shows it."""
    return DatasetStats(
        train_images=pack.train_images,
        test_images=pack.test_images,
        unlabelled_images=pack.unlabelled_images,
        classes=list(pack.classes),
        train_counts=list(pack.train_counts),
        test_counts=list(pack.test_counts),
        image_size=pack.image_size,
        channels=pack.channels,
        mean=list(pack.mean),
        std=list(pack.std),
        size_bytes=pack.size_bytes,
        broken=[BrokenFile(file=file, reason=reason) for file, reason in pack.broken],
        broken_total=pack.broken_total,
        notes=list(pack.notes),
    )


class Reporter:
    """Tells the backend every second how far an import is, so that it is not taken for lost, however long it takes."""

    def __init__(self, job: ImportJob, api: ImportsApi, is_draining: Callable[[], bool]) -> None:
        self._job, self._api, self._is_draining = job, api, is_draining
        self._share = 0.0
        self._unwanted: str | None = None

    def progress(self, share: float) -> None:
        """The share done, from the import. Raises AbandonedError where it should end."""
        self._share = share
        if self._unwanted is not None:
            raise AbandonedError(self._unwanted)
        if self._is_draining():
            raise AbandonedError("the worker shuts down")

    @contextmanager
    def reporting(self) -> Generator[None]:
        """Report from a thread while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._report_until, args=(over,), name="import-report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def insist(self, report: ImportReport) -> None:
        """Repeat a report until the backend has it. Raises AbandonedError where it is not wanted or we shut down."""
        pause = REPORT_SECONDS
        while True:
            try:
                self._api.report_import(self._job.name, report)
            except ApiError as error:
                if error.status < 500:
                    raise AbandonedError(str(error)) from error
            except BackendUnreachableError:
                LOG.debug("the backend is away")
            else:
                return
            if self._is_draining():
                raise AbandonedError("the worker shuts down without the backend")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _report_until(self, over: threading.Event) -> None:
        while not over.wait(REPORT_SECONDS):
            report = ImportReport(import_id=self._job.import_id, state="importing", progress=self._share)
            try:
                self._api.report_import(self._job.name, report)
            except ApiError as error:
                if error.status in {404, 409}:
                    self._unwanted = str(error)
                    return
            except BackendUnreachableError:
                LOG.debug("the backend is away")
