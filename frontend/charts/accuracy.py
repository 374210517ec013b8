"""Figures of a study: accuracy against batch size, and accuracy against augmentation.

In both, every run is a dot, the mean over runs that differ only in their seed is a larger mark, and a bar
reaches from the lowest to the highest of them.
"""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from backend.contracts.studies import Axis, StudyRead, StudyResult, StudyResults
from frontend.charts import palette
from frontend.components.text import visible

METRICS: Mapping[str, str] = {"linear_top1": "Linear accuracy", "knn_top1": "kNN accuracy"}
"""Names in a run's summary, in words; ``untrained_`` before one gives the untrained net's."""

_POINT_COLUMNS = ["batch_size", "augmentation", "series", "seed", "accuracy", "untrained", "run"]


def augmentation_axis(study: StudyRead) -> Axis | None:
    """The axis that varies the augmentation, if one does."""
    return _axis_on(study, "augmentation")


def _axis_on(study: StudyRead, prefix: str) -> Axis | None:
    for axis in study.axes:
        if all(path.startswith(prefix) for point in axis.points for path in point.set):
            return axis
    return None


def accuracy_points(results: StudyResults, metric: str) -> pd.DataFrame:
    """One row for each run that has the metric: batch_size, augmentation, series, seed, accuracy, untrained, run.

    ``series`` holds the labels on the study's other axes, so that runs are averaged over seeds only.
    """
    rows = [
        {
            **_place(results.study, result),
            "accuracy": result.run.summary[metric],
            "untrained": result.run.summary.get(f"untrained_{metric}"),
        }
        for result in results.results
        if result.run.summary.get(metric) is not None
    ]
    return pd.DataFrame(rows, columns=_POINT_COLUMNS)


def points_without_result(results: StudyResults, metric: str) -> pd.DataFrame:
    """One row for each run that failed or was stopped before it had the metric: batch_size, augmentation, seed, run, state.

    ``accuracy`` is 0: the axis.
    """
    rows = [
        {**_place(results.study, result), "accuracy": 0, "state": result.run.state}
        for result in results.results
        if result.run.state in ("failed", "stopped") and result.run.summary.get(metric) is None
    ]
    return pd.DataFrame(rows, columns=["batch_size", "augmentation", "series", "seed", "accuracy", "run", "state"])


def _place(study: StudyRead, result: StudyResult) -> dict[str, Any]:
    """Where a run stands in both figures."""
    augmentation, batch = augmentation_axis(study), _axis_on(study, "training.batch_size")
    known = {axis.name for axis in (augmentation, batch) if axis}
    config = result.run.config
    return {
        "batch_size": config.training.batch_size,
        "augmentation": visible(result.cell[augmentation.name]) if augmentation else config.augmentation.label,
        "series": visible(", ".join(f"{name} {label}" for name, label in result.cell.items() if name not in known)),
        "seed": result.seed,
        "run": visible(result.run.name),
    }


def with_means(points: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell: n, mean, lowest and highest accuracy over its seeds."""
    cells = points.groupby(["augmentation", "batch_size", "series"], sort=False)["accuracy"]
    return cells.agg(n="count", mean="mean", lowest="min", highest="max").reset_index()


def planned_batch_sizes(study: StudyRead) -> list[int]:
    """The batch sizes that the study will measure, ascending."""
    axis = _axis_on(study, "training.batch_size")
    if axis is None:
        return [study.base.training.batch_size]
    return sorted({int(value) for point in axis.points for value in point.set.values()})


def planned_augmentations(study: StudyRead) -> list[str]:
    """The augmentations that the study will measure, in its order."""
    axis = augmentation_axis(study)
    return [visible(point.label) for point in axis.points] if axis else [study.base.augmentation.label]


def against_batch_size(results: StudyResults, metric: str = "linear_top1", *, height: int = 400) -> alt.LayerChart:
    """Accuracy against batch size (logarithmic), a line for each augmentation."""
    points = accuracy_points(results, metric)
    sizes = planned_batch_sizes(results.study)
    x = alt.X(
        "batch_size:Q",
        title="Batch size (images)",
        scale=alt.Scale(type="log", base=2, domain=[sizes[0] / 1.25, sizes[-1] * 1.25], nice=False),
        axis=alt.Axis(values=sizes, format="d", grid=False),
    )
    series = _colour(points, planned_augmentations(results.study), "augmentation", "Augmentation")
    marks = _seed_layers(points, metric, x=x, colour=series)
    line = (
        alt.Chart(with_means(points))
        .mark_line(strokeWidth=2)
        .encode(x=x, y=_y("mean", metric, points), color=series, detail="series:N")
    )
    crosses = _crosses(points_without_result(results, metric), points, metric, x=x, colour=series)
    return _layered([*_untrained(points, metric), line, *marks, crosses], height)


def against_augmentation(results: StudyResults, metric: str = "linear_top1", *, height: int = 400) -> alt.LayerChart:
    """Accuracy against augmentation, side by side for each batch size."""
    points = accuracy_points(results, metric)
    sizes = [str(size) for size in planned_batch_sizes(results.study)]
    x = alt.X(
        "augmentation:N",
        title="Augmentation",
        sort=None,
        scale=alt.Scale(domain=planned_augmentations(results.study), paddingInner=0.3, paddingOuter=0.2),
        axis=alt.Axis(labelAngle=0, labelLimit=160, grid=False),
    )
    points = points.assign(size=points["batch_size"].astype(str))
    colour = _colour(points, sizes, "size", "Batch size")
    offset = alt.XOffset("size:N", sort=None, scale=alt.Scale(domain=sizes, paddingInner=0.3, paddingOuter=0.3))
    marks = _seed_layers(points, metric, x=x, colour=colour, offset=offset)
    missing = points_without_result(results, metric).assign(size=lambda rows: rows["batch_size"].astype(str))
    crosses = _crosses(missing, points, metric, x=x, colour=colour, offset=offset)
    return _layered([*_untrained(points, metric), *marks, crosses], height)


def _seed_layers(
    points: pd.DataFrame, metric: str, *, x: alt.X, colour: alt.Color, offset: alt.XOffset | None = None
) -> list[alt.Chart]:
    """Bar from lowest to highest, mean, and a dot for each run."""
    means = with_means(points)
    means["size"] = means["batch_size"].astype(str)
    shared: dict[str, Any] = {"x": x, "color": colour} | ({"xOffset": offset} if offset else {})
    name = METRICS[metric]
    cell = [
        alt.Tooltip("augmentation:N", title="Augmentation"),
        alt.Tooltip("batch_size:Q", title="Batch size", format=","),
    ]
    of_mean = [
        *cell,
        alt.Tooltip("mean:Q", title=f"{name}, mean", format=".1%"),
        alt.Tooltip("lowest:Q", title="Lowest", format=".1%"),
        alt.Tooltip("highest:Q", title="Highest", format=".1%"),
        alt.Tooltip("n:Q", title="Seeds (n)"),
    ]
    of_run = [
        *cell,
        alt.Tooltip("accuracy:Q", title=name, format=".1%"),
        alt.Tooltip("seed:Q", title="Seed"),
        alt.Tooltip("run:N", title="Run"),
    ]
    bar = alt.Chart(means).mark_rule(strokeWidth=2).encode(**shared, y=_y("lowest", metric, points), y2="highest:Q")
    mean = (
        alt.Chart(means)
        .mark_point(shape="diamond", size=190, filled=False, strokeWidth=2)
        .encode(**shared, y=_y("mean", metric, points), tooltip=of_mean)
    )
    dot = (
        alt.Chart(points)
        .mark_circle(size=42, opacity=0.85)
        .encode(**shared, y=_y("accuracy", metric, points), tooltip=of_run)
    )
    return [bar, mean, dot]


def _crosses(
    missing: pd.DataFrame,
    points: pd.DataFrame,
    metric: str,
    *,
    x: alt.X,
    colour: alt.Color,
    offset: alt.XOffset | None = None,
) -> alt.Chart:
    """A cross on the axis for each of ``points_without_result``."""
    shared: dict[str, Any] = {"x": x, "color": colour} | ({"xOffset": offset} if offset else {})
    said = [
        alt.Tooltip("run:N", title="Run"),
        alt.Tooltip("state:N", title="No result"),
        alt.Tooltip("seed:Q", title="Seed"),
    ]
    mark = alt.Chart(missing).mark_text(text="\N{MULTIPLICATION SIGN}", fontSize=22, dy=-7)
    return mark.encode(**shared, y=_y("accuracy", metric, points), tooltip=said)


def _untrained(points: pd.DataFrame, metric: str) -> list[alt.Chart]:
    """A dashed line at the untrained net's mean, with its name."""
    known = points["untrained"].dropna()
    frame = pd.DataFrame({"mean": [known.mean()] if len(known) else [], "text": ["untrained net"] * bool(len(known))})
    base = alt.Chart(frame).encode(
        y=_y("mean", metric, points), tooltip=[alt.Tooltip("mean:Q", title="Untrained net", format=".1%")]
    )
    line = base.mark_rule(strokeDash=[5, 4], color=palette.BASELINE, strokeWidth=1.5)
    text = base.mark_text(align="left", dx=4, dy=-7, color=palette.BASELINE, x=0).encode(text="text:N")
    return [line, text]


def _colour(points: pd.DataFrame, planned: list[str], column: str, title: str) -> alt.Color:
    extra = [label for label in points[column].unique() if label not in planned]
    return alt.Color(
        f"{column}:N", title=title, scale=alt.Scale(domain=[*planned, *extra]), legend=alt.Legend(orient="bottom")
    )


def _y(column: str, metric: str, points: pd.DataFrame) -> alt.Y:
    highest = [float(points[name].max()) for name in ("accuracy", "untrained") if points[name].notna().any()]
    top = min(1.0, math.ceil(12 * max(highest)) / 10) if highest else 1.0
    return alt.Y(
        f"{column}:Q",
        title=f"{METRICS[metric]}, test images",
        scale=alt.Scale(domain=[0, top]),
        axis=alt.Axis(format=".0%", tickCount=6),
    )


def _layered(layers: list[alt.Chart], height: int) -> alt.LayerChart:
    return alt.LayerChart(layer=layers, height=height)
