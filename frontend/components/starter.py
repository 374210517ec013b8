"""The starter study: what it will do, and the button that launches it."""

import streamlit as st

from backend.contracts.studies import Preset
from frontend.components import backend, links, words
from frontend.components.compositions import number_of_runs
from frontend.components.text import plain


def starter(preset: Preset, *, primary: bool) -> None:
    """What the preset is, and its button; a click leads to the study's page."""
    study = preset.study
    if study is None:
        return
    runs = number_of_runs([*(len(axis.points) for axis in study.axes), len(study.seeds)])
    varied = " by ".join(
        f"{words.count(len(axis.points), plain(axis.name))} ({', '.join(plain(point.label) for point in axis.points)})"
        for axis in study.axes
    )
    st.markdown(preset.description)
    st.caption(f"{words.count(runs, 'run')}: {varied}.")
    clicked = st.button(preset.title, type="primary" if primary else "secondary", icon=":material/rocket_launch:")
    if clicked and (launched := backend.tried(backend.client().launch_study, study)):
        st.switch_page(links.STUDIES, query_params={"id": launched.id})
