"""What a run gives: results, curves, config, files."""

import json
from collections.abc import Sequence

import streamlit as st

from backend.contracts.runs import MetricSeries, RunRead
from frontend.charts.curves import TITLES, curve_points, curves
from frontend.components import backend, words
from frontend.components.text import plain, visible

_CURVES = ("loss", "contrastive_accuracy", "knn_top1", "images_per_second")


def results(run: RunRead, series: Sequence[MetricSeries]) -> None:
    """The accuracies beside those of the untrained net, the speed and the time; while it trains, the newest values."""
    newest = {one.name: measured[-1] for one in series if (measured := list(one.values))}
    columns = st.columns([5, 5, 4, 5])
    for column, name, label in (
        (columns[0], "linear_top1", "Linear accuracy"),
        (columns[1], "knn_top1", "kNN accuracy"),
    ):
        trained, untrained = run.summary.get(name, newest.get(name)), run.summary.get(f"untrained_{name}")
        beside = None
        if trained is not None and untrained is not None:
            beside = f"{100 * (trained - untrained):+.1f} points"
        column.metric(
            label,
            words.percent(trained),
            beside,
            border=True,
            height="stretch",
            delta_description=f"untrained: {untrained:.1%}" if beside else None,
        )
    speed = run.summary.get("images_per_second", newest.get("images_per_second"))
    columns[2].metric("Images per second", f"{speed:,.0f}" if speed else "-", border=True, height="stretch")
    columns[3].metric("Time", words.duration(words.elapsed(run)) or "-", border=True, height="stretch")


def live_curves(run: RunRead, series: Sequence[MetricSeries]) -> None:
    """Loss, contrastive accuracy, kNN accuracy and throughput over the epochs."""
    columns = st.columns(2)
    for place, metric in enumerate(_CURVES):
        points = curve_points({visible(run.name): series}, metric)
        with columns[place % 2]:
            if len(points):
                st.altair_chart(curves(points, metric, [visible(run.name)]), key=f"run:curves:{metric}")
            else:
                st.caption(f"{TITLES[metric]}: not measured yet.")


def config(run: RunRead) -> None:
    """The whole config, and the learning rate that follows from it."""
    st.caption(
        f"{words.augmentation(run.config.augmentation)} · peak learning rate {run.config.peak_learning_rate:.4g}"
    )
    st.code(json.dumps(run.config.model_dump(mode="json"), indent=2), language="json", height=420)


def files(run: RunRead) -> None:
    """The files that the run produced, each with a button."""
    client = backend.client()
    artifacts = client.artifacts(run.id)
    if not artifacts:
        st.caption("Encoder, config and report stand here once the run has succeeded.")
    for artifact in artifacts:
        st.download_button(
            f"{plain(artifact.name)} ({words.size(artifact.size_bytes)})",
            data=lambda name=artifact.name: client.artifact(run.id, name),
            file_name=f"{run.id}-{artifact.name}",
            icon=":material/download:",
            on_click="ignore",
            key=f"run:file:{artifact.name}",
            help=f"sha256 {artifact.sha256}",
        )
