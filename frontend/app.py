"""The Streamlit app: ``streamlit run frontend/app.py``. Talks to the backend over HTTP only."""

import sys
from pathlib import Path

import streamlit as st

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:  # Streamlit puts only this file's folder on the path
    sys.path.insert(0, ROOT)

from frontend.components import backend, links  # noqa: E402 - after the path is set

st.set_page_config(
    page_title="SimCLR Lab",
    page_icon=str(Path(__file__).with_name("favicon.svg")),
    layout="wide",
    initial_sidebar_state=210,
)
st.html("<style>[data-testid=stMainBlockContainer] { padding: 3rem 3rem 4rem }</style>")
page = st.navigation(
    [
        st.Page(links.START, title="Start", icon=":material/home:", default=True),
        st.Page(links.RUNS, title="Runs", icon=":material/list:"),
        st.Page(links.QUEUE, title="Queue", icon=":material/low_priority:"),
        st.Page(links.NEW_RUN, title="New run", icon=":material/add_circle:"),
        st.Page(links.RUN, title="Run", visibility="hidden"),
        st.Page(links.STUDIES, title="Studies", icon=":material/grid_view:"),
        st.Page(links.NEW_STUDY, title="New study", icon=":material/library_add:"),
        st.Page(links.DATASETS, title="Datasets", icon=":material/photo_library:"),
        st.Page(links.WORKERS, title="Workers", icon=":material/memory:"),
    ]
)
backend.page(page.run)
