"""Ways to go on with a run that has ended: with the change that is expected to help, or for more epochs."""

import streamlit as st

from backend.contracts.changes import RunChanges
from backend.contracts.runs import RunRead
from frontend.components import backend

_MOST_EPOCHS = 100_000


def remedy_button(run: RunRead, remedy: RunChanges) -> None:
    """One button that resumes a failed run with this change."""
    clicked = st.button(remedy_label(remedy), type="primary", icon=":material/healing:", key="run:remedy")
    if clicked and backend.tried(backend.client().resume_run, run.id, remedy):
        st.rerun()


def remedy_label(remedy: RunChanges) -> str:
    """Such as ``Retry with micro-batch 64``."""
    changes: list[str] = []
    if remedy.micro_batch_size == "auto":
        changes.append("the largest micro-batch that fits")
    elif remedy.micro_batch_size is not None:
        changes.append(f"micro-batch {remedy.micro_batch_size:,}")
    if remedy.epochs is not None:
        changes.append(f"{remedy.epochs:,} epochs")
    return f"Retry with {' and '.join(changes)}" if changes else "Retry"


@st.dialog("Train longer")
def train_longer(run: RunRead) -> None:
    """Ask for the epochs; a click queues the run again."""
    now = run.config.training.epochs
    epochs = st.number_input(
        "Epochs",
        min_value=now + (run.state == "succeeded"),  # nothing is left of what it was asked for
        max_value=_MOST_EPOCHS,
        value=min(2 * now, _MOST_EPOCHS),
        help="In all, with those that are done.",
    )
    st.caption(
        f"It was asked for {now:,}. It goes on from its newest checkpoint, the learning rate follows the longer schedule from "
        "there on, and what was measured at the end is measured again."
    )
    clicked = st.button("Train longer", type="primary", icon=":material/moving:", key="run:train_longer:go")
    if clicked and backend.tried(backend.client().resume_run, run.id, RunChanges(epochs=int(epochs))):
        st.rerun()
