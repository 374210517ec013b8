"""Which run a worker gets: the first in the queue that it could ever serve, and where that does not fit now, none.

So a run of several GPUs is not starved by smaller ones that stand behind it. What people are told of a run that waits
(``run_queue``) and the hints in the broker (``dispatch``) follow from the same functions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import CheckpointRead, Claim, ClaimRequest, DatasetLocation
from backend.db.models import Checkpoint, Run, Worker
from backend.db.types import utc_now
from backend.services import states
from backend.services.errors import ConflictError
from backend.services.lab import Lab
from backend.services.offers import ALIVE_SECONDS, Offer, offer_of

QUEUE_ORDER = (Run.priority.desc(), Run.rank, Run.id)
_CHECKPOINTS_OFFERED = 20


@dataclass(frozen=True)
class WaitingRun:
    """A queued run and how many GPUs it asks for."""

    id: str
    gpus: int


def waiting_runs(session: Session) -> list[WaitingRun]:
    """The queue, the next run first."""
    gpus = Run.config["resources"]["gpus"].as_integer()
    rows = session.execute(select(Run.id, gpus).where(Run.state == "queued").order_by(*QUEUE_ORDER))
    return [WaitingRun(run_id, count) for run_id, count in rows]


def next_for(offer: Offer, queue: Iterable[WaitingRun]) -> WaitingRun | None:
    """The run that this worker gets next, now or when there is room for it."""
    if not offer.takes_runs:
        return None
    return next((run for run in queue if offer.can_ever_serve(run.gpus)), None)


def choose(offer: Offer, queue: Iterable[WaitingRun]) -> tuple[WaitingRun, list[int]] | None:
    """The run that this worker gets now, with its GPUs ([]: the processor)."""
    run = next_for(offer, queue)
    gpus = None if run is None else offer.allot(run.gpus)
    return None if run is None or gpus is None else (run, gpus)


def claim(lab: Lab, request: ClaimRequest) -> Claim | None:
    """Take the lease on the next run for this worker; None: there is nothing for it now.

    Raises ConflictError where the worker was not heard of lately.
    """
    with lab.database.write() as session:
        worker = session.get(Worker, request.worker_id, with_for_update=True)  # its slots are handed out one by one
        if worker is None or worker.last_seen <= utc_now() - timedelta(seconds=ALIVE_SECONDS):
            raise ConflictError(f"Worker '{request.worker_id}' was not heard of lately: beat first, then claim.")
        offer = offer_of(session, worker, min_free_bytes=lab.settings.min_free_bytes)
        queue = waiting_runs(session) if offer.takes_runs and offer.free_slots else []
        while chosen := choose(offer, queue):
            waiting, gpus = chosen
            run = _take(lab, session, waiting.id, worker.id, gpus)
            if run is not None:
                return _claim_of(lab, session, run)
            queue.remove(waiting)  # another worker was faster, or it was stopped
    return None


def _take(lab: Lab, session: Session, run_id: str, worker_id: str, gpus: Sequence[int]) -> Run | None:
    now = utc_now()
    return states.move(
        session,
        run_id,
        "queued",
        "running",
        actor=worker_id,
        reason="claimed",
        attempts=Run.attempts + 1,
        last_seq=0,
        output_end=0,
        worker_id=worker_id,
        gpus=list(gpus),
        lease_expires_at=now + timedelta(seconds=lab.settings.lease_seconds),
        started_at=func.coalesce(Run.started_at, now),
    )


def _claim_of(lab: Lab, session: Session, run: Run) -> Claim:
    return Claim(
        run_id=run.id,
        attempt=run.attempts,
        gpus=run.gpus or [],
        config=ExperimentConfig.model_validate(run.config),
        dataset=DatasetLocation(name=run.dataset, pack_sha256=run.pack_sha256),
        transfer=[DatasetLocation(name=name, pack_sha256=pack) for name, pack in (run.transfer_packs or {}).items()],
        checkpoints=_checkpoints(session, run.id),
        lease_seconds=lab.settings.lease_seconds,
    )


def _checkpoints(session: Session, run_id: str) -> list[CheckpointRead]:
    newest_first = (Checkpoint.step.desc(), Checkpoint.attempt.desc())
    rows = session.scalars(
        select(Checkpoint).where(Checkpoint.run_id == run_id).order_by(*newest_first).limit(_CHECKPOINTS_OFFERED)
    )
    return [CheckpointRead(name=row.name, step=row.step, sha256=row.sha256) for row in rows]
