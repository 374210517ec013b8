"""Routes for the queue: who waits, for what, and moving a run in it."""

from fastapi import APIRouter

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.api.runs import RunId
from backend.contracts.runs import QueueMove, QueuePlace, RunRead
from backend.services import run_queue

router = APIRouter(tags=["queue"], route_class=StrictJsonRoute)


@router.get("/queue")
def read_queue(lab: LabDep) -> list[RunRead]:
    """The queued runs, the next one first."""
    return run_queue.listed(lab)


@router.get("/runs/{run_id}/queue", responses=problems(404, 409))
def read_place(run_id: RunId, lab: LabDep) -> QueuePlace:
    """Where a queued run stands and what it waits for. 409: it is not queued."""
    return run_queue.place(lab, run_id)


@router.post("/runs/{run_id}/move", responses=problems(404, 409, 422))
def move_run(run_id: RunId, move: QueueMove, lab: LabDep) -> RunRead:
    """Move a queued run before another one, or to the end. It takes over the priority of its new neighbour.

    409: it is not queued.
    """
    return run_queue.move(lab, run_id, move)
