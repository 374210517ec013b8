"""What the evaluations of a run found: the table, the classes, the map of test images."""

import base64
import io
from collections.abc import Mapping
from html import escape

import streamlit as st
from PIL import Image

from backend.contracts.runs import RunRead
from frontend.charts.classes import class_accuracies, confusion, confusion_points, per_class
from frontend.charts.image_map import METHODS, PICKED, class_name, image_map, map_links, map_points
from frontend.components import backend
from frontend.components.evaluation_files import (
    ImageMap,
    OfClassifier,
    chance,
    named,
    read_classes,
    read_classifiers,
    read_map,
)
from frontend.components.evaluation_results import COLUMNS, classifier_label, evaluation_rows, geometry
from frontend.components.text import plain, visible

_NEIGHBOURS_SHOWN = 9


def evaluations(run: RunRead) -> None:
    """All of it, as far as it is there."""
    files = {artifact.name: artifact.sha256 for artifact in backend.client().artifacts(run.id)}
    contents = {
        name: _file(run.id, name, files[name])
        for name in ("evaluation.json", "predictions.json", "projection.json")
        if name in files
    }
    classifiers = read_classifiers(contents.get("evaluation.json", b""))
    rows = evaluation_rows(run.summary, chance(classifiers))
    if not len(rows):
        return
    st.subheader("Evaluation", help="Accuracy on test images that no training saw.")
    percent = {name: st.column_config.NumberColumn(label, format="%.1f%%") for name, label in COLUMNS.items()}
    shown = ["name", *(name for name in COLUMNS if rows[name].notna().any())]
    st.dataframe(
        rows.assign(**{name: 100 * rows[name] for name in COLUMNS}),
        hide_index=True,
        column_config={"name": "Evaluation", **percent},
        column_order=shown,
        placeholder="",
    )
    if said := geometry(run.summary):
        st.caption(said)
    classes = read_classes(contents.get("evaluation.json"), contents.get("predictions.json"))
    if classifiers:
        _classes(classifiers, classes)
    found = read_map(contents["projection.json"]) if "projection.json" in contents else None
    if found:
        _map(run.id, found, files)


def _classes(classifiers: Mapping[str, OfClassifier], classes: list[str]) -> None:
    names = list(classifiers)
    with st.expander("Classes: which was taken for which"):
        default = "linear" if "linear" in names else names[0]
        chosen = st.segmented_control(
            "By",
            names,
            default=default,
            format_func=lambda one: plain(classifier_label(one)),
            key="run:classes:of",
            label_visibility="collapsed",
        )
        one = classifiers[chosen or default]
        left, right = st.columns([3, 2], gap="large")
        if one.confusion:
            labels = named(classes, len(one.confusion))
            with left:
                st.altair_chart(confusion(confusion_points(one.confusion, labels), labels), key="run:confusion")
        if one.per_class:
            with right:
                points = class_accuracies(one.per_class, named(classes, len(one.per_class)))
                st.altair_chart(per_class(points), key="run:per_class")


def _map(run_id: str, found: ImageMap, files: Mapping[str, str]) -> None:
    with st.expander(f"Map of {len(found.images):,} test images by {METHODS.get(found.method, plain(found.method))}"):
        points, links = map_points(found.images, found.classes), map_links(found.images)
        left, right = st.columns([3, 1], gap="medium")
        with left:
            chart = image_map(points, links, found.classes, found.method)
            event = st.altair_chart(chart, key="run:map", on_select="rerun", selection_mode=PICKED)
        with right:
            picked = [int(one["index"]) for one in event.selection.get(PICKED, [])]  # pyright: ignore[reportAttributeAccessIssue]
            _thumbnails(run_id, found, files, picked[0] if picked else None)


def _thumbnails(run_id: str, found: ImageMap, files: Mapping[str, str], picked: int | None) -> None:
    """The image that was clicked, and its neighbours."""
    sheet = found.sheet or {}
    name = str(sheet.get("file", ""))
    if name not in files:
        return
    if picked is None:
        st.caption("Click a dot to see the image and its nearest neighbours in h.")
        return
    whole = Image.open(io.BytesIO(_file(run_id, name, files[name])))
    st.html(thumbnails_html(found, whole, picked))


def thumbnails_html(found: ImageMap, sheet: Image.Image, picked: int) -> str:
    """An image of the map and its neighbours, cut out of the sheet, with their classes."""
    place = {image["index"]: at for at, image in enumerate(found.images)}
    near = [one for one in found.images[place[picked]].get("neighbors", []) if one in place]
    side, columns = int((found.sheet or {})["side"]), int((found.sheet or {})["columns"])

    def figure(index: int, width: int, note: str = "") -> str:
        row, column = divmod(place[index], columns)
        png = io.BytesIO()
        sheet.crop((column * side, row * side, (column + 1) * side, (row + 1) * side)).save(png, "PNG")
        label = escape(visible(class_name(found.images[place[index]]["label"], found.classes)))
        source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
        style = f"width:{width}px;image-rendering:pixelated;border-radius:4px;display:block"
        return f'<div><img style="{style}" alt="test image {index}" src="{source}">{label}{note}</div>'

    grid = "display:grid;grid-template-columns:repeat(auto-fill,72px);gap:0.6rem;margin-top:0.8rem"
    around = "".join(figure(index, 64) for index in near[:_NEIGHBOURS_SHOWN])
    head = figure(picked, 112, f", test image {picked}")
    return f'<div style="font-size:0.8rem">{head}<div style="{grid}">{around}</div></div>'


@st.cache_data(max_entries=40, show_spinner=False)
def _file(run_id: str, name: str, sha256: str) -> bytes:
    """An artifact; its hash tells an earlier one from it."""
    del sha256
    return backend.client().artifact(run_id, name)
