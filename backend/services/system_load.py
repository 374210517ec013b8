"""The load that a run causes on its machine: samples over time, bounded."""

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.contracts.runs import SystemSample
from backend.db.models import SystemRow
from backend.db.thinning import kept_evenly
from backend.services import runs
from backend.services.lab import Lab


def store(session: Session, run_id: str, sample: SystemSample, *, most: int) -> None:
    """Store a sample of a run whose row is locked, unless it is the last one again. At most ``most`` are kept.

    Where there are more, every second one goes, so the curve stays whole and grows coarse with its length.
    """
    of_run = SystemRow.run_id == run_id
    last = session.scalar(select(SystemRow.time).where(of_run).order_by(SystemRow.id.desc()).limit(1))
    if last == sample.time:
        return
    row = SystemRow(run_id=run_id, time=sample.time, values=dict(sample.values))
    session.add(row)
    session.flush()
    if (session.scalar(select(func.count()).where(of_run)) or 0) <= most:
        return
    place = func.row_number().over(order_by=SystemRow.id).label("place")
    numbered = select(SystemRow.id, place).where(of_run).subquery()
    doomed = select(numbered.c.id).where(numbered.c.place % 2 == 0, numbered.c.id != row.id)
    session.execute(delete(SystemRow).where(SystemRow.id.in_(doomed)), execution_options={"synchronize_session": False})


def samples(lab: Lab, run_id: str, *, max_points: int) -> list[SystemSample]:
    """The samples of a run, oldest first, thinned evenly to ``max_points``, the first and the last kept."""
    index = (func.row_number().over(order_by=SystemRow.id) - 1).label("i")
    row = select(SystemRow.id, index, func.count().over().label("n")).where(SystemRow.run_id == run_id).subquery()
    kept = select(row.c.id).where(kept_evenly(row.c.i, row.c.n, max_points))
    with lab.database.read() as session:
        runs.get(session, run_id)
        rows = session.scalars(select(SystemRow).where(SystemRow.id.in_(kept)).order_by(SystemRow.id))
        return [SystemSample(time=one.time, values=one.values) for one in rows]
