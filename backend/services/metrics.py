"""Reading the metrics of a run."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, func, select

from backend.contracts.runs import MetricSeries
from backend.db.models import MetricPoint
from backend.db.thinning import kept_evenly
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
    index = func.row_number().over(partition_by=MetricPoint.name, order_by=MetricPoint.step) - 1
    count = func.count().over(partition_by=MetricPoint.name)
    point = select(
        MetricPoint.name, MetricPoint.step, MetricPoint.epoch, MetricPoint.value, index.label("i"), count.label("n")
    )
    p = point.where(*conditions).subquery()
    kept = kept_evenly(p.c.i, p.c.n, max_points)
    return select(p.c.name, p.c.step, p.c.epoch, p.c.value).where(kept).order_by(p.c.name, p.c.step)
