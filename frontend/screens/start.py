"""Start: the starter study where nothing is there yet, otherwise what goes on."""

import streamlit as st

from frontend.components import backend, links, words
from frontend.components.runs_table import column_config, run_rows
from frontend.components.starter import starter
from frontend.components.text import plain


def show() -> None:
    """The whole page."""
    st.title("SimCLR Lab")
    client = backend.client()
    runs = client.runs(limit=1)
    presets = [preset for preset in client.presets() if preset.id == "starter"]
    if runs.total == 0:
        st.markdown(
            "Train nets on images without labels, watch them learn, and see which augmentations and batch sizes work. "
            "A first study, on images that are drawn here:"
        )
        for preset in presets:
            starter(preset, primary=True)
        st.divider()
        _ways_on()
        return
    backend.live(_now, seconds=3)
    _ways_on()
    for preset in presets:
        with st.expander(preset.title):
            starter(preset, primary=False)


def _now() -> None:
    client = backend.client()
    st.subheader("Newest runs")
    runs = client.runs(limit=8).items
    shown = run_rows(runs)
    event = st.dataframe(
        shown,
        hide_index=True,
        column_config=column_config(),
        column_order=["state", "name", "progress", "eta", "linear", "knn", "created"],
        on_select="rerun",
        selection_mode="single-cell",
        key="start:runs",
        placeholder="",
    )
    for row, column in event.selection.cells:
        if column == "name":
            st.switch_page(links.RUN, query_params={"id": runs[row].id})
    for study in client.studies()[:5]:
        total, done = sum(study.states.values()), study.states.get("succeeded", 0)
        st.page_link(
            links.STUDIES,
            label=f"{plain(study.name)}: {done} of {words.count(total, 'run')} done",
            icon=":material/grid_view:",
            query_params={"id": study.id},
        )


def _ways_on() -> None:
    st.markdown("##### Or go your own way")
    datasets, run, study = st.columns(3)
    datasets.page_link(links.DATASETS, label="Bring your own images", icon=":material/photo_library:")
    run.page_link(links.NEW_RUN, label="Set up a run", icon=":material/add_circle:")
    study.page_link(links.NEW_STUDY, label="Set up a study", icon=":material/library_add:")


if __name__ == "__main__":
    show()
