"""Workers: who is there, what each is at, and draining one."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import select, update

from backend.contracts.workers import WorkerBeat, WorkerRead
from backend.db import changes
from backend.db.engine import upsert
from backend.db.models import Run, Worker
from backend.db.types import utc_now
from backend.services.errors import NotFoundError
from backend.services.lab import Lab
from backend.services.offers import ALIVE_SECONDS

SHOWN_HOURS = 24


def beat(lab: Lab, report: WorkerBeat) -> None:
    """A worker says that it is alive."""
    with lab.database.write() as session:
        upsert(session, Worker, [{**report.model_dump(), "last_seen": utc_now()}])


def drain(lab: Lab, worker_id: str, *, draining: bool) -> None:
    """Give a worker no run any more and ask for those that it has; or let it take runs again. Raises NotFoundError."""
    with lab.database.write() as session:
        changed = session.scalars(
            update(Worker).where(Worker.id == worker_id).values(draining=draining).returning(Worker.id)
        ).one_or_none()
        for run_id in session.scalars(select(Run.id).where(Run.worker_id == worker_id, Run.state == "running")):
            changes.note(session, run_id)  # something else is wanted of it now
    if changed is None:
        raise NotFoundError(f"There is no worker '{worker_id}'.")
    lab.unsent.set()


def listed(lab: Lab) -> list[WorkerRead]:
    """Workers heard of in the last day, the last heard of first."""
    now = utc_now()
    recent = select(Worker).where(Worker.last_seen > now - timedelta(hours=SHOWN_HOURS))
    at_work = select(Run.worker_id, Run.id).where(Run.state.in_(("running", "stopping"))).order_by(Run.id)
    runs_of: defaultdict[str | None, list[str]] = defaultdict(list)
    with lab.database.read() as session:
        for worker_id, run_id in session.execute(at_work):
            runs_of[worker_id].append(run_id)
        rows = session.scalars(recent.order_by(Worker.last_seen.desc(), Worker.id)).all()
    alive_since = now - timedelta(seconds=ALIVE_SECONDS)
    return [
        WorkerRead.model_validate(
            {name: getattr(row, name) for name in WorkerBeat.model_fields}
            | {
                "alive": row.last_seen > alive_since,
                "draining": row.draining,
                "last_seen": row.last_seen,
                "run_ids": runs_of[row.id],
            }
        )
        for row in rows
    ]
