"""The worker's side of a claimed run: ship events, store files, end the attempt.

Each write names its attempt. One that is not the current attempt of a running run is refused (LeaseLostError), in the
same UPDATE that renews the lease, so a worker that was given up for lost cannot write any more.
"""

from datetime import timedelta
from typing import Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.contracts.changes import RunChanges
from backend.contracts.runs import AttemptEnd, EventBatch, LeaseAnswer, RunRead, RunState, Wish
from backend.db.models import Run, Worker
from backend.db.types import utc_now
from backend.services import journal, logs, runs, states, system_load
from backend.services.errors import InvalidError, LeaseLostError
from backend.services.lab import Lab

Outcome = Literal["succeeded", "failed", "stopped", "drained", "no_space", "crashed", "lost"]


def post_events(lab: Lab, run_id: str, batch: EventBatch) -> LeaseAnswer:
    """Store the events that are new and renew the lease.

    Raises LeaseLostError for a stale attempt, InvalidError where an event between is missing.
    """
    with lab.database.write() as session:
        run = renew_lease(lab, session, run_id, batch.attempt)
        fresh = [event for event in batch.events if event.seq > run.last_seq]
        for expected, event in enumerate(fresh, start=run.last_seq + 1):
            if event.attempt != batch.attempt:
                raise InvalidError.field("events", f"event {event.seq} is of attempt {event.attempt}")
            if event.seq != expected:
                raise InvalidError.field("events", f"event {expected} must come next, not {event.seq}")
        journal.store(session, run, fresh)
        if batch.output is not None:
            logs.store_output(session, run, batch.output)
        if batch.output is not None or any(event.kind == "log" for event in fresh):
            logs.bound(session, run_id, lab.settings.max_log_lines)
        if batch.system is not None:
            system_load.store(session, run_id, batch.system, most=lab.settings.max_system_samples)
        return LeaseAnswer(wish=wish_of(session, run), last_seq=run.last_seq)


def wish_of(session: Session, run: Run) -> Wish:
    """What is wanted of a running or stopping run: a stop of the run before the drain of its worker."""
    if run.state == "stopping":
        return "stop"
    worker = session.get(Worker, run.worker_id)
    return "drain" if worker is not None and worker.draining else "go_on"


def current_wish(lab: Lab, run_id: str, attempt: int) -> Wish:
    """What is wanted of an attempt now. Raises LeaseLostError where it is not the current one of a running run."""
    with lab.database.read() as session:
        run = runs.get(session, run_id)
        if run.attempts != attempt or run.state not in ("running", "stopping"):
            raise _lease_lost(run, attempt)
        return wish_of(session, run)


def end(lab: Lab, run_id: str, report: AttemptEnd) -> RunRead:
    """The attempt is over. Raises LeaseLostError for a stale attempt."""
    with lab.database.write() as session:
        run = renew_lease(lab, session, run_id, report.attempt)
        actor = run.worker_id or "worker"
        landed = land(lab, session, run, report.outcome, actor=actor, error=report.error, remedy=report.remedy)
    lab.unsent.set()
    return runs.read_model(landed)


def renew_lease(lab: Lab, session: Session, run_id: str, attempt: int) -> Run:
    """Renew and lock: the fence. Raises LeaseLostError where ``attempt`` is not the current one of a running run."""
    run = session.scalars(
        update(Run)
        .where(Run.id == run_id, Run.attempts == attempt, Run.state.in_(("running", "stopping")))
        .values(lease_expires_at=utc_now() + timedelta(seconds=lab.settings.lease_seconds))
        .returning(Run),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one_or_none()
    if run is None:
        raise _lease_lost(runs.get(session, run_id), attempt)
    return run


def _lease_lost(run: Run, attempt: int) -> LeaseLostError:
    return LeaseLostError(f"Attempt {attempt} has lost the run: it is {run.state} at attempt {run.attempts}.")


def land(
    lab: Lab,
    session: Session,
    run: Run,
    outcome: Outcome,
    *,
    actor: str,
    error: str | None = None,
    remedy: RunChanges | None = None,
) -> Run:
    """Move a locked running or stopping run to where the outcome of its attempt leads."""
    if run.state == "stopping":
        if outcome == "succeeded":
            return _moved(session, run, "succeeded", actor, "finished before the stop reached it", progress=1.0)
        return _moved(session, run, "stopped", actor, f"{outcome} while stopping", error=error)
    match outcome:
        case "succeeded":
            return _moved(session, run, "succeeded", actor, "finished", progress=1.0, error=None)
        case "failed":
            helps = remedy.model_dump(exclude_none=True) if remedy else None
            error = error or "The training process failed."
            return _moved(session, run, "failed", actor, "failed", error=error, remedy=helps)
        case "stopped":
            return _moved(session, run, "stopped", actor, "stopped", error=error)
        case "drained":
            drained = wish_of(session, run) == "drain"
            reason = "its worker is drained" if drained else "its worker shuts down"
            return _moved(session, run, "queued", actor, f"{reason}; goes on elsewhere or later")
        case "no_space":
            # It knows better than its last beat; until the next one it is given no run.
            session.execute(update(Worker).where(Worker.id == run.worker_id).values(disk_free_bytes=0))
            return _moved(session, run, "queued", actor, "the worker's disk is full; goes on when there is room")
        case "crashed" | "lost":
            return _after_crash(lab, session, run, outcome, actor, error)


def _after_crash(
    lab: Lab, session: Session, run: Run, outcome: Literal["crashed", "lost"], actor: str, error: str | None
) -> Run:
    failures = run.failures + 1
    what = "The training process crashed" if outcome == "crashed" else "The worker was lost"
    if failures < lab.settings.max_attempts:
        reason = f"{what.lower()} ({failures} of {lab.settings.max_attempts} times)"
        return _moved(session, run, "queued", actor, reason, failures=failures)
    times = "once" if failures == 1 else f"{failures} times in a row"
    message = f"{what} at attempt {run.attempts}; {times} without a new checkpoint, the most that is tried."
    if error:
        message += f" The last one: {error}"
    message += " See the end of the log for the cause; Resume goes on from the newest checkpoint."
    return _moved(session, run, "failed", actor, what.lower(), failures=failures, error=message)


def _moved(session: Session, run: Run, target: RunState, actor: str, reason: str, **values: object) -> Run:
    source = run.state
    moved = states.move(session, run.id, source, target, actor=actor, reason=reason, attempt=run.attempts, **values)
    if moved is None:
        raise LeaseLostError(f"Run {run.id} is not {source} at attempt {run.attempts} any more.")
    return moved
