"""Queue: the runs that wait, in the order in which workers take them; ticked ones are moved, weighed and stopped."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunPatch, RunRead
from frontend.components import backend, words
from frontend.components.queue_order import Direction, moves
from frontend.components.run_state import queue_place
from frontend.components.text import cell, plain
from frontend.components.ticked_runs import ticked_runs

_DIRECTIONS: dict[Direction, str] = {
    "first": "vertical_align_top",
    "up": "arrow_upward",
    "down": "arrow_downward",
    "last": "vertical_align_bottom",
}


def show() -> None:
    """The whole page."""
    st.title("Queue")
    backend.live(_queue)


def _queue() -> None:
    queued = backend.client().queue()
    if not queued:
        st.info("No run waits. What is launched stands here until a worker takes it.")
        return
    _first(queued[0])
    buttons = st.container(horizontal=True, vertical_alignment="bottom")
    ticked = ticked_runs("queue", queued, queue_rows(queued), _columns())
    with buttons:
        _buttons(queued, ticked)
    chosen = f"{len(ticked)} ticked. " if ticked else "Tick runs to move or stop them. "
    st.caption(
        f"{words.count(len(queued), 'run')} waiting. {chosen}"
        "A higher priority goes first; a run that is moved takes over the priority of its new neighbour."
    )


def _first(run: RunRead) -> None:
    """What the next run waits for."""
    place = queue_place(run)
    if place is None:
        return
    if place.can_be_served:
        st.info(f"Next: **{plain(run.name)}**. {place.reason}", icon=":material/schedule:")
    else:
        st.warning(f"**{plain(run.name)}** cannot start. {place.reason}", icon=":material/warning:")


def queue_rows(queued: Sequence[RunRead]) -> pd.DataFrame:
    """One row a run, in the order of the queue."""
    rows = [
        {
            "place": place,
            "name": cell(run.name),
            "priority": run.priority,
            "dataset": cell(run.config.dataset.name),
            "epochs": run.config.training.epochs,
            "batch_size": run.config.training.batch_size,
            "gpus": str(run.config.resources.gpus or "any"),
            "done": 100 * run.progress,
            "launched": run.created_at,
        }
        for place, run in enumerate(queued, 1)
    ]
    return pd.DataFrame(rows)


def _columns() -> dict[str, object]:
    column = st.column_config
    return {
        "place": column.NumberColumn("Place", width=60),  # first: a table that gets the focus selects its first cell
        "name": column.TextColumn("Run", width=320),
        "priority": column.NumberColumn("Priority", width=75),
        "dataset": column.TextColumn("Dataset", width=110),
        "epochs": column.NumberColumn("Epochs", format="%d", width=75),
        "batch_size": column.NumberColumn("Batch size", format="%d", width=85),
        "gpus": column.TextColumn("GPUs", width=60, help="'any': one GPU if the worker has one, else the processor."),
        "done": column.ProgressColumn("Done", format="%.0f%%", min_value=0, max_value=100, width=110),
        "launched": column.DatetimeColumn("Launched", format="distance", width=130),
    }


def _buttons(queued: Sequence[RunRead], ticked: Sequence[RunRead]) -> None:
    client = backend.client()
    chosen = [run.id for run in ticked]
    for direction, icon in _DIRECTIONS.items():
        steps = moves([run.id for run in queued], chosen, direction)
        label = direction.capitalize()
        if st.button(label, icon=f":material/{icon}:", disabled=not steps, key=f"queue:{direction}"):
            backend.do_all(partial(client.move_run, run_id, before=before) for run_id, before in steps)
    if st.button("Stop", icon=":material/stop:", disabled=not ticked, key="queue:stop"):
        backend.do_all(partial(client.stop_run, run_id) for run_id in chosen)
    priority = st.number_input(
        "Priority", -100, 100, value=ticked[0].priority if ticked else 0, disabled=not ticked, key=f"queue:priority:{chosen}",
        width=120,
    )  # fmt: skip
    if st.button("Set", disabled=not ticked, key="queue:priority:set", help="Gives the ticked runs this priority."):
        patch = RunPatch(priority=int(priority))
        backend.do_all(partial(client.patch_run, run_id, patch) for run_id in chosen)


if __name__ == "__main__":
    show()
