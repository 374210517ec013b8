"""The load that a run puts on its machine: newest values and small charts over time."""

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.charts.load import LOADS, load_chart, load_points
from frontend.components import backend


def load(run: RunRead) -> None:
    """Draw what was measured."""
    points = load_points(backend.client().system(run.id, max_points=300))
    if said := without_gpu(run, points):
        st.caption(said)
    measured = [name for name in LOADS if (points["load"] == name).any()]
    columns = st.columns(2)
    for place, name in enumerate(measured):
        of_load = points[points["load"] == name]
        with columns[place % 2]:
            st.markdown(f"**{LOADS[name][0]}** &nbsp; {newest(of_load, name)}")
            st.altair_chart(load_chart(of_load, name), key=f"run:load:{name}")


def newest(points: pd.DataFrame, load: str) -> str:
    """The newest value of each device, such as ``93, 91``."""
    values = points.groupby("device", sort=False)["value"].last()
    return ", ".join(f"{value:{LOADS[load][1]}}" for value in values)


def without_gpu(run: RunRead, points: pd.DataFrame) -> str:
    """A sentence where there is nothing, or nothing of a GPU, to draw; else empty."""
    if points.empty:
        return "Load is measured while the run trains. There is nothing yet."
    if points["load"].str.startswith("gpu_").any():
        return ""
    if run.gpus:
        return "The driver of its GPU tells no load, so only the process is drawn."
    return "On the processor: there is no GPU to draw."
