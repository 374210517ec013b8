"""Runs: the table, filtered and sorted, and the curves of the runs that are ticked."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from backend.contracts.runs import ENDED, RunRead
from frontend.charts.curves import TITLES, curve_points, curves
from frontend.components import backend, links, words
from frontend.components.comparison import comparison
from frontend.components.runs_table import column_config, matching, run_rows
from frontend.components.text import visible
from frontend.components.ticked_runs import ticked_runs

_PAGE = 200


def show() -> None:
    """The whole page."""
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.title("Runs")
    with button:
        st.page_link(links.NEW_RUN, label="New run", icon=":material/add_circle:")
    text_column, state_column = st.columns([2, 1])
    text = text_column.text_input(
        "Find", placeholder="words of the name, dataset, augmentation, tags or notes", key="runs:find"
    )
    states = state_column.multiselect("State", list(words.STATES), key="runs:states", placeholder="any")
    backend.live(lambda: _table_and_curves(text, states))


def _table_and_curves(text: str, states: Sequence[str]) -> None:
    page = backend.client().runs(limit=_PAGE)
    runs = matching(page.items, text, states)
    if not page.items:
        st.info("There is no run yet. Start with the **Starter study** on the first page, or with **New run**.")
        return
    if not runs:
        st.info("No run matches. Clear the search to see all.")
        return
    ticked = ticked_runs("runs", runs, run_rows(runs), column_config())
    shown = f"{len(runs)} of {words.count(page.total, 'run')}"
    older = f" The newest {_PAGE} are searched." if page.total > _PAGE else ""
    st.caption(f"{shown}. Click a name to open the run; tick several to compare their curves.{older}")
    going_on = [run.id for run in ticked if run.state in ("queued", "running")]
    if going_on and st.button(
        f"Stop {words.count(len(going_on), 'ticked run')}", icon=":material/stop:", key="runs:stop"
    ):
        backend.do_all(partial(backend.client().stop_run, run_id) for run_id in going_on)
    if ticked:
        _overlay(ticked)


def _overlay(runs: Sequence[RunRead]) -> None:
    names = _distinct_names(runs)
    if len(runs) == 2 and all(run.state == "succeeded" for run in runs):
        comparison(runs[0].id, runs[1].id, names)
    st.subheader("Curves of the ticked runs")
    series = {names[run.id]: backend.client().metrics(run.id, max_points=300) for run in runs}
    columns = st.columns(2)
    for place, metric in enumerate(("loss", "knn_top1", "contrastive_accuracy", "images_per_second")):
        points = curve_points(series, metric)
        with columns[place % 2]:
            if len(points):
                st.altair_chart(curves(points, metric, list(series)), key=f"runs:curves:{metric}")
            elif any(run.state not in ENDED for run in runs):
                st.caption(f"{TITLES[metric]}: not measured yet.")


def _distinct_names(runs: Sequence[RunRead]) -> dict[str, str]:
    """Run id to name; runs of the same name get their seed and the end of their id."""
    all_names = [run.name for run in runs]
    return {
        run.id: visible(run.name)
        if all_names.count(run.name) == 1
        else f"{visible(run.name)}, seed {run.config.training.seed} ({run.id[-5:]})"
        for run in runs
    }


if __name__ == "__main__":
    show()
