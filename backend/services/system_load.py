"""The load that a run causes on its machine: samples over time, bounded."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from backend.contracts.runs import SystemSample
from backend.db.models import SystemRow
from backend.db.thinning import kept_evenly
from backend.services import runs
from backend.services.lab import Lab


def store(session: Session, run_id: str, sample: SystemSample, *, most: int) -> None:
    """Store a sample of a run whose row is locked, unless it is the last one again. At most ``most`` are kept.

    Where there are more, half as many stay, at even distances in time: the curve stays whole.
    """
    of_run = SystemRow.run_id == run_id
    last = session.scalar(select(SystemRow.time).where(of_run).order_by(SystemRow.id.desc()).limit(1))
    if last == sample.time:
        return
    session.add(SystemRow(run_id=run_id, time=sample.time, values=dict(sample.values)))
    session.flush()
    if (session.scalar(select(func.count()).where(of_run)) or 0) <= most:
        return
    times = select(SystemRow.id, SystemRow.time).where(of_run).order_by(SystemRow.id)
    rows = [(row.id, row.time) for row in session.execute(times)]
    doomed = [{"doomed": row_id} for row_id in _crowded(rows, most // 2)]
    session.connection().execute(delete(SystemRow).where(SystemRow.id == bindparam("doomed")), doomed)


def _crowded(rows: Sequence[tuple[int, datetime]], most: int) -> list[int]:
    """The ids of all but one row in each of ``most`` equal spans of time, and but the last row."""
    begin, end = min(time for _, time in rows), max(time for _, time in rows)
    span = max((end - begin) / (most - 1), timedelta.resolution)
    crowded: list[int] = []
    taken: set[int] = set()
    for row_id, time in rows[:-1]:
        place = (time - begin) // span
        if place in taken:
            crowded.append(row_id)
        taken.add(place)
    return crowded


def samples(lab: Lab, run_id: str, *, max_points: int) -> list[SystemSample]:
    """The samples of a run, oldest first, thinned evenly to ``max_points``, the first and the last kept."""
    index = (func.row_number().over(order_by=SystemRow.id) - 1).label("i")
    row = select(SystemRow.id, index, func.count().over().label("n")).where(SystemRow.run_id == run_id).subquery()
    kept = select(row.c.id).where(kept_evenly(row.c.i, row.c.n, max_points))
    with lab.database.read() as session:
        runs.get(session, run_id)
        rows = session.scalars(select(SystemRow).where(SystemRow.id.in_(kept)).order_by(SystemRow.id))
        return [SystemSample(time=one.time, values=one.values) for one in rows]
