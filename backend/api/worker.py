"""Routes for workers: claim a run, ship events and files, end an attempt, say that one is alive."""

from fastapi import APIRouter, Response, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.api.runs import RunId
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead
from backend.contracts.workers import WorkerBeat
from backend.services import attempts, scheduling, workers

router = APIRouter(
    prefix="/worker", tags=["worker side"], route_class=StrictJsonRoute, responses=problems(404, 409, 422)
)


@router.post("/claim", response_model=Claim, responses={204: {"description": "There is nothing for this worker now."}})
def claim_run(request: ClaimRequest, lab: LabDep) -> Claim | Response:
    """Take the lease on the first run in the queue that this worker could serve; 204: there is none, or no room for it.

    409: the worker was not heard of lately: beat first, then claim.
    """
    return scheduling.claim(lab, request) or Response(status_code=status.HTTP_204_NO_CONTENT)


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
