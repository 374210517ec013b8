"""Figures on classes: which class was taken for which, and the accuracy of each."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from frontend.charts import palette

_FEW = 12
"""Up to so many classes their numbers stand in the matrix."""


def confusion_points(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> pd.DataFrame:
    """One row a cell: true, predicted, images, share (of the true class). ``matrix[true][predicted]`` counts images."""
    rows = [
        {"true": classes[true], "predicted": classes[predicted], "images": images, "share": images / max(1, sum(row))}
        for true, row in enumerate(matrix)
        for predicted, images in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=["true", "predicted", "images", "share"])


def confusion(points: pd.DataFrame, classes: Sequence[str], *, height: int = 420) -> alt.LayerChart:
    """A row for each true class: how its test images were classified. The darker, the more."""
    domain = alt.Scale(domain=list(classes))
    axis = alt.Axis(labelOverlap=True, labelLimit=110, grid=False)
    x = alt.X("predicted:N", title="Predicted class", sort=None, scale=domain, axis=axis)
    y = alt.Y("true:N", title="True class", sort=None, scale=domain, axis=axis)
    tooltip = [
        alt.Tooltip("true:N", title="True class"),
        alt.Tooltip("predicted:N", title="Predicted"),
        alt.Tooltip("images:Q", title="Images", format=","),
        alt.Tooltip("share:Q", title="Share of the class", format=".1%"),
    ]
    base = alt.Chart(points).encode(x=x, y=y, tooltip=tooltip)
    opacity = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    cells = base.mark_rect(color=palette.LIGHT[0]).encode(opacity=opacity)
    texts = base.transform_filter("datum.images > 0").mark_text(fontSize=11, color=palette.BASELINE)
    numbers = texts.encode(
        text=alt.Text("images:Q", format=","),
        color=alt.condition("datum.share > 0.45", alt.value("white"), alt.value(palette.BASELINE)),
    )
    return alt.LayerChart(layer=[cells, numbers] if len(classes) <= _FEW else [cells], height=height)


def class_accuracies(accuracies: Sequence[float | None], classes: Sequence[str]) -> pd.DataFrame:
    """One row a class that has test images: class and accuracy, the lowest first."""
    rows = [{"class": name, "accuracy": value} for name, value in zip(classes, accuracies, strict=True)]
    frame = pd.DataFrame(rows, columns=["class", "accuracy"]).dropna()
    return frame.sort_values("accuracy", kind="stable").reset_index(drop=True)


def per_class(points: pd.DataFrame) -> alt.Chart:
    """A bar for each class, the lowest accuracy on top."""
    return (
        alt.Chart(points, height=alt.Step(22 if len(points) <= 2 * _FEW else 13))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y("class:N", title=None, sort=None, axis=alt.Axis(labelLimit=140, labelOverlap=True)),
            x=alt.X(
                "accuracy:Q",
                title="Accuracy of the class, test images",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            tooltip=[alt.Tooltip("class:N", title="Class"), alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%")],
        )
    )
