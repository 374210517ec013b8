"""A table of runs in which a person ticks some, and opens one by its name."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.components import links


def ticked_runs(name: str, runs: Sequence[RunRead], rows: pd.DataFrame, columns: dict[str, Any]) -> list[RunRead]:
    """Draw ``rows``, one for each of ``runs``; the ticked runs in the table's order, kept while rows come, go and move.

    ``name`` tells one such table from another. A click in the column ``name`` opens that run.
    """
    ids = [run.id for run in runs]
    kept = f"{name}:ticked"
    before: list[str] = st.session_state.get(kept, [])
    rows_before = [ids.index(one) for one in before if one in ids]
    order = hashlib.sha256(" ".join(ids).encode()).hexdigest()[:12]
    event = st.dataframe(
        rows,
        hide_index=True,
        column_config=columns,
        key=f"{name}:table:{order}",  # ticks are row numbers: other rows, another table, ticked anew by id
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        selection_default={"selection": {"rows": rows_before}},
        height=min(38 + 35 * len(runs), 560),
        placeholder="",
    )
    for row, column in event.selection.cells:
        if column == "name":
            st.switch_page(links.RUN, query_params={"id": ids[row]})
    ticked = [runs[row] for row in sorted(event.selection.rows) if row < len(runs)]
    st.session_state[kept] = [run.id for run in ticked]
    return ticked
