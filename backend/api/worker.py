"""Routes for workers: claim a run, ship events and files, end an attempt, say that one is alive."""

from fastapi import APIRouter, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.api.runs import RunId
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead
from backend.contracts.workers import WorkerBeat
from backend.services import attempts, workers

router = APIRouter(
    prefix="/worker", tags=["worker side"], route_class=StrictJsonRoute, responses=problems(404, 409, 422)
)


@router.post("/runs/{run_id}/claim")
def claim_run(run_id: RunId, request: ClaimRequest, lab: LabDep) -> Claim:
    """Take the lease on a queued run. 404 or 409: there is nothing to do, drop the message."""
    return attempts.claim(lab, run_id, request)


@router.post("/runs/{run_id}/events")
def post_events(run_id: RunId, batch: EventBatch, lab: LabDep) -> LeaseAnswer:
    """Ship events and renew the lease; repeated events are ignored. 409: the lease is lost, kill the training."""
    return attempts.post_events(lab, run_id, batch)


@router.post("/runs/{run_id}/end")
def end_attempt(run_id: RunId, report: AttemptEnd, lab: LabDep) -> RunRead:
    """Report how an attempt ended. 409 as for events."""
    return attempts.end(lab, run_id, report)


@router.post("/beat", status_code=status.HTTP_204_NO_CONTENT)
def beat(report: WorkerBeat, lab: LabDep) -> None:
    """Say that this worker is alive, every few seconds."""
    workers.beat(lab, report)
