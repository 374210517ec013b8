"""Figure: test images in two dimensions, coloured by class; a click shows the nearest neighbours of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from frontend.charts import palette

METHODS: Mapping[str, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
PICKED = "picked"
"""Name of the selection."""
_MOST_LEGEND = 20
_MOST_LINKS = 40_000
"""More lines from image to neighbour would make the page slow: they are left out then."""


def map_points(images: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    """One row an image: index (in the test set), x, y, class, and the classes of its neighbours in words."""
    class_of = {image["index"]: class_name(image["label"], classes) for image in images}
    rows = [
        {
            "index": image["index"],
            "x": image["x"],
            "y": image["y"],
            "class": class_of[image["index"]],
            "nearest": ", ".join(class_of[other] for other in image.get("neighbors", ()) if other in class_of),
        }
        for image in images
    ]
    return pd.DataFrame(rows, columns=["index", "x", "y", "class", "nearest"])


def map_links(images: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each image and neighbour of it on the map: index, x, y, x2, y2; none where there are too many."""
    place = {image["index"]: (image["x"], image["y"]) for image in images}
    rows = [
        {"index": image["index"], "x": image["x"], "y": image["y"], "x2": place[other][0], "y2": place[other][1]}
        for image in images
        for other in image.get("neighbors", ())
        if other in place
    ]
    return pd.DataFrame(rows if len(rows) <= _MOST_LINKS else [], columns=["index", "x", "y", "x2", "y2"])


def image_map(
    points: pd.DataFrame, links: pd.DataFrame, classes: Sequence[str], method: str, *, height: int = 520
) -> alt.LayerChart:
    """The map. Distances on it are those of the method, not of h: only what lies close together means something."""
    picked = alt.selection_point(name=PICKED, fields=["index"], on="click", nearest=True, empty=False)
    shown = [name for name in classes if (points["class"] == name).any()]
    many = len(shown) > len(palette.LIGHT)
    scale = alt.Scale(domain=shown, scheme="tableau20") if many else alt.Scale(domain=shown)
    colour = alt.Color(
        "class:N",
        title=None,
        scale=scale,
        legend=alt.Legend(orient="right", symbolOpacity=1, labelLimit=140) if len(shown) <= _MOST_LEGEND else None,
    )
    name = METHODS.get(method, method)
    bare = alt.Axis(labels=False, ticks=False, grid=False)
    x = alt.X("x:Q", title=f"{name}, first dimension", axis=bare, scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=f"{name}, second dimension", axis=bare, scale=alt.Scale(zero=False))
    dots = (
        alt.Chart(points)
        .mark_circle()
        .encode(
            x=x,
            y=y,
            color=colour,
            size=alt.condition(picked, alt.value(180), alt.value(38)),
            opacity=alt.condition(picked, alt.value(1), alt.value(0.75)),
            tooltip=[
                alt.Tooltip("class:N", title="Class"),
                alt.Tooltip("index:Q", title="Test image"),
                alt.Tooltip("nearest:N", title="Nearest in h"),
            ],
        )
        .add_params(picked)
    )
    lines = (
        alt.Chart(links)
        .transform_filter(picked)
        .mark_rule(strokeWidth=1.5, color=palette.BASELINE)
        .encode(x=x, y=y, x2="x2", y2="y2")
    )
    return alt.LayerChart(layer=[dots, lines], height=height)


def class_name(label: int, classes: Sequence[str]) -> str:
    """The name of a class, or its number where it has none."""
    return classes[label] if 0 <= label < len(classes) else str(label)
