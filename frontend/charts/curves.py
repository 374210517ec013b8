"""Figure: one metric over the epochs of one or several runs."""

from collections.abc import Iterable, Mapping

import altair as alt
import pandas as pd

from backend.contracts.runs import MetricSeries

TITLES: Mapping[str, str] = {
    "loss": "Loss",
    "contrastive_accuracy": "Contrastive accuracy",
    "knn_top1": "kNN accuracy",
    "images_per_second": "Images per second",
    "learning_rate": "Learning rate",
}
"""The metrics that the page draws, in this order, with their axis in words."""
_SHARES = frozenset({"contrastive_accuracy", "knn_top1"})
_SHARE_AXIS = alt.Axis(format=".0%", tickCount=5, tickMinStep=0.01)
_AXIS_FORMATS: Mapping[str, str] = {"images_per_second": "~s"}


def curve_points(series_of_runs: Mapping[str, Iterable[MetricSeries]], metric: str) -> pd.DataFrame:
    """The points of one metric: columns run, epoch, step, value, in the order of the runs."""
    rows = [
        {"run": run, "epoch": epoch, "step": step, "value": value}
        for run, series in series_of_runs.items()
        for one in series
        if one.name == metric
        for step, epoch, value in zip(one.steps, one.epochs, one.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "epoch", "step", "value"])


def curves(points: pd.DataFrame, metric: str, runs: list[str], *, height: int = 220) -> alt.Chart:
    """A line for each of ``runs`` from ``curve_points``; the legend names them where there are several."""
    is_share = metric in _SHARES
    legend_rows = len(runs) if len(runs) > 1 else 0
    title = TITLES.get(metric, metric)
    value_format = ".1%" if is_share else ",.4~g"
    return (
        alt.Chart(points, height=height + 24 * legend_rows)
        .mark_line(point=alt.OverlayMarkDef(size=18) if len(points) <= 40 * len(runs) else False, strokeWidth=1.8)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(grid=False, tickMinStep=1, format="d")),
            y=alt.Y(
                "value:Q",
                title=title,
                scale=alt.Scale(zero=metric == "images_per_second"),
                axis=_SHARE_AXIS if is_share else alt.Axis(format=_AXIS_FORMATS.get(metric, "~g"), tickCount=5),
            ),
            color=alt.Color(
                "run:N",
                title=None,
                scale=alt.Scale(domain=runs),
                legend=alt.Legend(orient="bottom", columns=1, labelLimit=600) if legend_rows else None,
            ),
            tooltip=[
                alt.Tooltip("run:N", title="Run"),
                alt.Tooltip("epoch:Q", title="Epoch", format=".2~f"),
                alt.Tooltip("step:Q", title="Step", format=","),
                alt.Tooltip("value:Q", title=title, format=value_format),
            ],
        )
    )
