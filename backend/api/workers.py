"""Routes for workers as people see them."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.workers import WorkerRead
from backend.services import workers

router = APIRouter(prefix="/workers", tags=["workers"], route_class=StrictJsonRoute)

WorkerId = Annotated[str, Path(description="The worker's id.", examples=["gpu-box-4711"])]


@router.get("")
def list_workers(lab: LabDep) -> list[WorkerRead]:
    """Workers heard of in the last day."""
    return workers.listed(lab)


@router.post("/{worker_id}/drain", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404))
def drain_worker(worker_id: WorkerId, lab: LabDep) -> None:
    """Drain a worker: its runs make a checkpoint and go back into the queue, and it takes none until it is told to."""
    workers.drain(lab, worker_id, draining=True)


@router.post("/{worker_id}/undrain", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404))
def undrain_worker(worker_id: WorkerId, lab: LabDep) -> None:
    """Let a drained worker take runs again."""
    workers.drain(lab, worker_id, draining=False)
