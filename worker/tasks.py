"""The tasks, registered under the names that the backend sends: train a run, import a dataset, draw a preview."""

from typing import Any

from backend.client import Client
from backend.contracts.datasets import ImportJob
from backend.contracts.previews import PreviewJob
from backend.contracts.tasks import IMPORT_DATASET, PREVIEW_VIEWS, TRAIN_RUN
from worker.app import app
from worker.beat import WORKER_ID, describe_worker
from worker.claiming import work_through_queue
from worker.draining import DRAINING
from worker.settings import Settings
from worker.supervisor import Workplace

BACKEND_SECONDS = 10.0
"""Longest wait for an answer of the backend."""


@app.task(name=TRAIN_RUN)
def train_run(*_: object) -> None:
    """There is work: supervise runs as long as the backend has one for this worker."""
    settings = Settings()

    def connect() -> Client:
        return Client.connect(settings, timeout=BACKEND_SECONDS)

    with connect() as client:
        place = Workplace(
            api=client,
            watch=connect,
            worker_id=WORKER_ID,
            slots_per_gpu=settings.slots_per_gpu,
            runs_dir=settings.runs_dir,
            packs_dir=settings.packs_dir,
            is_draining=DRAINING.is_raised,
        )
        work_through_queue(place, lambda: client.beat(describe_worker(settings)))


@app.task(name=IMPORT_DATASET)
def import_dataset(job: dict[str, Any]) -> None:
    """Import a dataset into a pack, reporting how far it is."""
    from worker.imports import run_import  # late: it loads torch, which the node that trains does without

    settings = Settings()
    with Client.connect(settings, timeout=BACKEND_SECONDS) as client:
        run_import(ImportJob.model_validate(job), client, settings, DRAINING.is_raised)


@app.task(name=PREVIEW_VIEWS)
def preview_views(job: dict[str, Any]) -> None:
    """Draw the views of some images and hand them to the request that waits for them."""
    from worker.previews import draw  # late: it loads torch, which the node that trains does without

    settings = Settings()
    preview = PreviewJob.model_validate(job)
    with Client.connect(settings, timeout=BACKEND_SECONDS) as client:
        client.post_preview(preview.id, draw(preview, settings.packs_dir))
