"""Runs as a table: what stands in a row, and how it is shown."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.components import words
from frontend.components.text import cell

_COLUMNS = [
    "state",  # first, as a table that gets the focus selects its first cell, and a selected name is a click
    "name",
    "progress",
    "eta",
    "linear",
    "knn",
    "dataset",
    "batch_size",
    "augmentation",
    "epochs",
    "seed",
    "created",
]


def run_rows(runs: Sequence[RunRead]) -> pd.DataFrame:
    """One row a run, in the given order; the index is the run's id. Accuracies and progress in percent."""
    rows = [
        {
            "name": cell(run.name),
            "state": [run.state],
            "progress": 100 * run.progress,
            "eta": words.duration(run.eta_seconds) if run.state == "running" else "",
            "dataset": run.config.dataset.name,
            "batch_size": run.config.training.batch_size,
            "augmentation": cell(words.augmentation(run.config.augmentation)),
            "epochs": run.config.training.epochs,
            "seed": run.config.training.seed,
            "linear": _percent(run.summary.get("linear_top1")),
            "knn": _percent(run.summary.get("knn_top1")),
            "created": run.created_at,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_COLUMNS, index=pd.Index([run.id for run in runs], name="id"))


def matching(runs: Sequence[RunRead], text: str, states: Sequence[str]) -> list[RunRead]:
    """The runs in one of ``states`` (none given: all) whose name, dataset, augmentation, tags or notes hold all words."""
    wanted = text.lower().split()
    return [
        run for run in runs if (not states or run.state in states) and all(word in _searchable(run) for word in wanted)
    ]


def column_config() -> dict[str, Any]:
    """How Streamlit shows the columns of ``run_rows``."""
    column = st.column_config
    return {
        "name": column.TextColumn("Run", width=280),
        "state": column.MultiselectColumn(
            "State", options=list(words.STATES), color=list(words.STATES.values()), width=105
        ),
        "progress": column.ProgressColumn("Progress", format="%.0f%%", min_value=0, max_value=100, width=110),
        "eta": column.TextColumn("ETA", width=95, help="Time until the run is done."),
        "linear": column.NumberColumn("Linear", format="%.1f%%", width=75, help="Linear accuracy on the test images."),
        "knn": column.NumberColumn("kNN", format="%.1f%%", width=75, help="kNN accuracy on the test images."),
        "dataset": column.TextColumn("Dataset", width=100),
        "batch_size": column.NumberColumn("Batch size", format="%d", width=85),
        "augmentation": column.TextColumn("Augmentation", width=170),
        "epochs": column.NumberColumn("Epochs", format="%d", width=70),
        "seed": column.NumberColumn("Seed", format="%d", width=60),
        "created": column.DatetimeColumn("Launched", format="distance", width=130),
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _searchable(run: RunRead) -> str:
    parts = [run.id, run.name, run.config.dataset.name, words.augmentation(run.config.augmentation), run.notes]
    return " ".join([*parts, *run.tags]).lower()
