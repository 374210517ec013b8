"""One run: live while it trains, then its results."""

from collections.abc import Callable

import streamlit as st

from backend.contracts.runs import RunRead
from frontend.components import backend, links, run_parts, words
from frontend.components.evaluate_more import evaluate_more
from frontend.components.reproduction import reproduction
from frontend.components.resume import train_longer
from frontend.components.run_evaluations import evaluations
from frontend.components.run_history import history
from frontend.components.run_load import load
from frontend.components.run_log import log
from frontend.components.run_state import state
from frontend.components.text import plain

_EVALUATED = "encoder_sha256_after_evaluation"
"""What the summary holds once every evaluation is done: of a run that has succeeded, though a later one may have failed."""


def show() -> None:
    """The whole page, for the run that the address names."""
    run_id = st.query_params.get("id")
    if not run_id:
        st.title("Run")
        st.info("Choose a run in the list.")
        st.page_link(links.RUNS, label="Runs", icon=":material/list:")
        return
    run = backend.client().run(run_id)
    st.title(plain(run.name))
    if run.study_id:
        st.page_link(links.STUDIES, label="Its study", icon=":material/grid_view:", query_params={"id": run.study_id})
    _buttons(run)
    backend.live(lambda: _live(run_id, expected=run.state), while_=not words.has_ended(run))
    log(run)
    evaluations(run)
    _tabs(run)


@st.fragment
def _tabs(run: RunRead) -> None:
    """Only the tab that is open is asked for."""
    tabs = st.tabs(list(_TABS), key="tab", on_change="rerun", bind="query-params")
    for tab, draw in zip(tabs, _TABS.values(), strict=True):
        if tab.open:
            with tab:
                draw(run)


def _load(run: RunRead) -> None:
    backend.live(lambda: load(run), seconds=5, while_=not words.has_ended(run))


_TABS: dict[str, Callable[[RunRead], None]] = {
    "Config": run_parts.config,
    "Files": run_parts.files,
    "System": _load,
    "History": history,
    "Reproduction": reproduction,
}


def _live(run_id: str, expected: str) -> None:
    """What changes while the run goes on."""
    run = backend.client().run(run_id)
    if run.state != expected:
        st.rerun()  # other buttons, and no more refreshing once it has ended
    state(run)
    series = backend.client().metrics(run_id, max_points=400)
    run_parts.results(run, series)
    run_parts.live_curves(run, series)


def _buttons(run: RunRead) -> None:
    client = backend.client()
    can_stop, can_resume = run.state in ("queued", "running"), run.state in ("stopped", "failed")
    with st.container(horizontal=True):
        stop = st.button("Stop", icon=":material/stop:", disabled=not can_stop, help="Writes a checkpoint first.")
        if stop and backend.tried(client.stop_run, run.id):
            st.rerun()
        resume = st.button(
            "Resume", icon=":material/play_arrow:", disabled=not can_resume, help="Goes on from the newest checkpoint."
        )
        if resume and backend.tried(client.resume_run, run.id):
            st.rerun()
        longer = st.button(
            "Train longer",
            icon=":material/moving:",
            disabled=not words.has_ended(run),
            help="Goes on from its newest checkpoint for more epochs.",
        )
        if longer:
            train_longer(run)
        can_evaluate = words.has_ended(run) and _EVALUATED in run.summary
        more = st.button(
            "Evaluate more",
            icon=":material/query_stats:",
            disabled=not can_evaluate,
            help="Measures more on the trained net, such as linear evaluation by SGD or transfer.",
        )
        if more:
            evaluate_more(run)
        clone = st.button("Clone", icon=":material/content_copy:", help="Launches a new run with the same config.")
        if clone and (cloned := backend.tried(client.clone_run, run.id)):
            st.switch_page(links.RUN, query_params={"id": cloned.id})
        if st.button("Change and launch", icon=":material/edit:", help="Opens New run with this config."):
            st.switch_page(links.NEW_RUN, query_params={"from": run.id})
        if st.button("Delete", icon=":material/delete:", disabled=not words.has_ended(run)):
            _confirm_delete(run)


@st.dialog("Delete this run?")
def _confirm_delete(run: RunRead) -> None:
    st.write(f"**{plain(run.name)}** goes, with its curves, log and files. This cannot be undone.")
    if st.button("Delete", type="primary"):
        backend.client().delete_run(run.id)
        st.switch_page(links.RUNS)


if __name__ == "__main__":
    show()
