"""Reading what runs report: metric series, log lines, the live journal."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, func, or_, select

from backend.contracts.runs import LogLine, MetricSeries
from backend.db.models import JournalEntry, MetricPoint
from backend.services import runs
from backend.services.lab import Lab


def series(
    lab: Lab, run_id: str, *, names: Sequence[str] = (), since: int | None = None, max_points: int = 1000
) -> list[MetricSeries]:
    """Metrics by name; only steps after ``since``; each thinned evenly to ``max_points``, first and last kept."""
    of_run = [MetricPoint.run_id == run_id]
    if names:
        of_run.append(MetricPoint.name.in_(names))
    if since is not None:
        of_run.append(MetricPoint.step > since)
    by_name: dict[str, MetricSeries] = {}
    with lab.database.read() as session:
        runs.get(session, run_id)
        for name, step, epoch, value in session.execute(_thinned(of_run, max_points)):
            one = by_name.setdefault(name, MetricSeries(name=name, steps=[], epochs=[], values=[]))
            one.steps.append(step)
            one.epochs.append(epoch)
            one.values.append(value)
    return list(by_name.values())


def _thinned(conditions: list[ColumnElement[bool]], max_points: int) -> "Select[str, int, float, float]":
    """Of n points with index i keep those where i (m-1) // (n-1) grows: m of them, the first and the last among them."""
    index = func.row_number().over(partition_by=MetricPoint.name, order_by=MetricPoint.step) - 1
    count = func.count().over(partition_by=MetricPoint.name)
    point = select(
        MetricPoint.name, MetricPoint.step, MetricPoint.epoch, MetricPoint.value, index.label("i"), count.label("n")
    )
    p = point.where(*conditions).subquery()
    slots, last = max_points - 1, p.c.n - 1
    keep = or_(p.c.n <= max_points, p.c.i == 0, p.c.i * slots // last != (p.c.i - 1) * slots // last)
    return select(p.c.name, p.c.step, p.c.epoch, p.c.value).where(keep).order_by(p.c.name, p.c.step)


def log_lines(lab: Lab, run_id: str, *, after: int, limit: int) -> list[LogLine]:
    """Log lines with an id above ``after``, oldest first; with ``after`` 0 the last ``limit`` lines."""
    lines = select(JournalEntry).where(JournalEntry.run_id == run_id, JournalEntry.kind == "log")
    with lab.database.read() as session:
        runs.get(session, run_id)
        if after:
            rows = session.scalars(lines.where(JournalEntry.id > after).order_by(JournalEntry.id).limit(limit)).all()
        else:
            rows = session.scalars(lines.order_by(JournalEntry.id.desc()).limit(limit)).all()[::-1]
        return [
            LogLine(
                id=row.id,
                time=row.time,
                attempt=row.attempt,
                level=row.data["level"],
                message=row.data["message"],
                source=row.data.get("source", "lab"),
            )
            for row in rows
        ]
