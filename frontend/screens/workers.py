"""Workers: which machines take runs."""

import pandas as pd
import streamlit as st

from frontend.components import backend, links, words
from frontend.components.text import cell


def show() -> None:
    """The whole page."""
    st.title("Workers")
    backend.live(_list, seconds=3)


def _list() -> None:
    workers = backend.client().workers()
    if not any(worker.alive for worker in workers):
        st.info("No worker is running, so runs stay queued. `make up` starts one.")
    if not workers:
        return
    rows = [
        {
            "worker": cell(worker.id),
            "is": "alive" if worker.alive else "silent",
            "device": cell(worker.device),
            "cores": worker.cores,
            "memory": words.size(worker.memory_bytes),
            "run": ", ".join(worker.run_ids),
            "seen": worker.last_seen,
            "versions": cell(", ".join(f"{name} {version}" for name, version in worker.versions.items())),
        }
        for worker in workers
    ]
    event = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "worker": "Worker",
            "is": "State",
            "device": "Device",
            "cores": "Cores",
            "memory": "Memory",
            "run": "Run",
            "seen": st.column_config.DatetimeColumn("Last heard of", format="distance"),
            "versions": "Versions",
        },
        on_select="rerun",
        selection_mode="single-cell",
        key="workers:table",
        placeholder="",
    )
    for row, column in event.selection.cells:
        run_id = rows[row]["run"]
        if column == "run" and run_id:
            st.switch_page(links.RUN, query_params={"id": str(run_id)})


if __name__ == "__main__":
    show()
