"""Workers: who is there, and what each is at."""

from datetime import timedelta

from sqlalchemy import select

from backend.contracts.workers import WorkerBeat, WorkerRead
from backend.db.engine import upsert
from backend.db.models import Run, Worker
from backend.db.types import utc_now
from backend.services.lab import Lab

ALIVE_SECONDS = 15
SHOWN_HOURS = 24


def beat(lab: Lab, report: WorkerBeat) -> None:
    """A worker says that it is alive."""
    with lab.database.write() as session:
        upsert(session, Worker, [{**report.model_dump(), "last_seen": utc_now()}])


def listed(lab: Lab) -> list[WorkerRead]:
    """Workers heard of in the last day, the last heard of first."""
    now = utc_now()
    recent = select(Worker).where(Worker.last_seen > now - timedelta(hours=SHOWN_HOURS))
    at_work = select(Run.worker_id, Run.id).where(Run.state.in_(("running", "stopping")))
    with lab.database.read() as session:
        run_of = {row.worker_id: row.id for row in session.execute(at_work)}
        rows = session.scalars(recent.order_by(Worker.last_seen.desc(), Worker.id)).all()
    alive_since = now - timedelta(seconds=ALIVE_SECONDS)
    return [
        WorkerRead(
            id=row.id,
            host=row.host,
            device=row.device,
            cores=row.cores,
            memory_bytes=row.memory_bytes,
            versions=row.versions,
            alive=row.last_seen > alive_since,
            last_seen=row.last_seen,
            run_id=run_of.get(row.id),
        )
        for row in rows
    ]
