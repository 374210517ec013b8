"""The states of a run, the table of legal moves, and the one function that moves a run.

Every move is one conditional UPDATE, so of two that race exactly one happens, and every move is recorded.
"""

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.contracts.runs import ENDED, RunState
from backend.db.models import JournalEntry, Run, Transition
from backend.db.types import utc_now

LEGAL_MOVES: dict[tuple[RunState, RunState], str] = {
    ("queued", "running"): "claimed by a worker",
    ("queued", "stopped"): "stopped before a worker took it",
    ("running", "succeeded"): "trained and evaluated",
    ("running", "failed"): "cannot go on",
    ("running", "stopped"): "stopped by itself, with a checkpoint",
    ("running", "stopping"): "the user asked it to stop",
    ("running", "queued"): "worker lost, drained or out of disk space, or training process crashed",
    ("stopping", "stopped"): "stopped, or its worker was lost meanwhile",
    ("stopping", "succeeded"): "finished before the wish to stop reached it",
    ("stopped", "queued"): "resumed by the user",
    ("failed", "queued"): "resumed by the user",
    ("succeeded", "queued"): "more evaluation or more epochs asked for by the user",
}


def move(
    session: Session,
    run_id: str,
    source: RunState,
    target: RunState,
    *,
    actor: str,
    reason: str,
    attempt: int | None = None,
    **values: Any,
) -> Run | None:
    """Move a run from ``source`` to ``target`` and record it. None where it is not in ``source`` (any more).

    With ``attempt``, only where that is the current attempt. Raises ValueError for a move that is not in the table.
    """
    if (source, target) not in LEGAL_MOVES:
        raise ValueError(f"no run may go from {source} to {target}")
    where = [Run.id == run_id, Run.state == source]
    if attempt is not None:
        where.append(Run.attempts == attempt)
    run = session.scalars(
        update(Run).where(*where).values(state=target, **_entry_values(target), **values).returning(Run),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one_or_none()
    if run is not None:
        record(session, run, source, actor=actor, reason=reason)
    return run


def record(session: Session, run: Run, source: RunState | None, *, actor: str, reason: str) -> None:
    """Write a move that has just happened into the history and the journal. ``source`` None: the run is new."""
    now = utc_now()
    moved = {"from_state": source, "to_state": run.state, "actor": actor, "reason": reason}
    session.add(Transition(run_id=run.id, time=now, attempt=run.attempts, **moved))
    session.add(JournalEntry(run_id=run.id, time=now, attempt=run.attempts, kind="state", data=moved))


def _entry_values(target: RunState) -> dict[str, Any]:
    """What changes with a state, wherever the run comes from."""
    if target == "queued":
        return {"phase": None, "eta_seconds": None, "lease_expires_at": None, "finished_at": None}
    if target in ENDED:
        return {"eta_seconds": None, "lease_expires_at": None, "finished_at": utc_now()}
    return {}
