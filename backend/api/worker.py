"""Routes for workers: claim a run, ship events and files, end an attempt, say that one is alive."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from starlette.concurrency import run_in_threadpool

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.api.runs import RunId
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead, Wish, WishAnswer
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


@router.get("/runs/{run_id}/wish")
async def wait_for_wish(
    run_id: RunId,
    lab: LabDep,
    attempt: Annotated[int, Query(ge=1, le=2**62, description="The attempt that asks.")],
    known: Annotated[Wish, Query(description="What it knows already.")] = "go_on",
    seconds: Annotated[float, Query(ge=0, le=60, description="Answer after so long in any case.")] = 30.0,
) -> WishAnswer:
    """What is wanted of the run, as soon as it is not what is known already. 409 as for events, also while it waits."""
    end = time.monotonic() + seconds
    with lab.hub.watch(run_id) as watch:
        while True:
            wish = await run_in_threadpool(attempts.current_wish, lab, run_id, attempt)
            left = end - time.monotonic()
            if wish != known or left <= 0 or lab.hub.closing:
                return WishAnswer(wish=wish)
            await watch.news(left)


@router.post("/runs/{run_id}/end")
def end_attempt(run_id: RunId, report: AttemptEnd, lab: LabDep) -> RunRead:
    """Report how an attempt ended. 409 as for events."""
    return attempts.end(lab, run_id, report)


@router.post("/beat", status_code=status.HTTP_204_NO_CONTENT)
def beat(report: WorkerBeat, lab: LabDep) -> None:
    """Say that this worker is alive, every few seconds."""
    workers.beat(lab, report)
