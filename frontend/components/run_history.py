"""The history of a run: every move from state to state, and all that it measured about itself."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.charts.history import stays, timeline
from frontend.components import backend, words
from frontend.components.text import cell


def history(run: RunRead) -> None:
    """Draw both."""
    points = stays(backend.client().transitions(run.id), datetime.now(UTC))
    st.altair_chart(timeline(points), key="run:timeline")
    column = st.column_config
    st.dataframe(
        points.assign(
            state=points["state"].map(lambda state: [state]),
            actor=points["actor"].map(cell),
            reason=points["reason"].map(cell),
            lasted=[words.duration(seconds) if seconds else "" for seconds in points["seconds"]],
        ),
        hide_index=True,
        column_order=["begin", "state", "lasted", "attempt", "actor", "reason"],
        column_config={
            "begin": column.DatetimeColumn("Since", format="YYYY-MM-DD HH:mm:ss", width=150),
            "state": column.MultiselectColumn(
                "State", options=list(words.STATES), color=list(words.STATES.values()), width=105
            ),
            "lasted": column.TextColumn("For", width=100),
            "attempt": column.NumberColumn("Attempt", width=70),
            "actor": column.TextColumn("By", width=150),
            "reason": column.TextColumn("Because", width=420),
        },
    )
    if run.summary:
        st.caption("Everything the run measured about itself")
        st.dataframe(
            pd.DataFrame(
                [{"name": cell(name), "value": cell(str(value))} for name, value in sorted(run.summary.items())]
            ),
            hide_index=True,
        )
