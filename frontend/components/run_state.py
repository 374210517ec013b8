"""Where a run stands: its state, how far it is, what it waits for, what it runs on; where it failed, what helps."""

from collections.abc import Sequence

import streamlit as st

from backend.client import ApiError
from backend.contracts.runs import QueuePlace, RunRead
from backend.contracts.workers import WorkerRead
from frontend.components import backend, links, words
from frontend.components.resume import remedy_button
from frontend.components.text import plain, plain_lines

_STATE_HINTS = {
    "stopping": "It writes a checkpoint and then stops.",
    "stopped": "**Resume** goes on from its newest checkpoint.",
}


def state(run: RunRead) -> None:
    """Draw all of it."""
    doing = f" {words.PHASES[run.phase]}" if run.phase and run.state == "running" else ""
    attempt = f" · attempt {run.attempts}" if run.attempts > 1 else ""
    st.markdown(f"{words.badge(run.state)}{doing}{attempt} {_STATE_HINTS.get(run.state, '')}")
    if run.state == "queued":
        _waiting(run)
    if run.state == "failed":
        _failure(run)
    if run.summary.get("collapsed"):
        st.warning(f"**The representation has collapsed.** {_collapse(run)}", icon=":material/compress:")
    if not words.has_ended(run) or run.progress < 1:
        st.progress(min(1.0, run.progress), text=progress_text(run))
    if said := machine(run, backend.client().workers()):
        st.caption(plain(said))


def progress_text(run: RunRead) -> str:
    """Such as ``epoch 12.4 of 30, 41%, 3 min left``."""
    epoch = "" if run.epoch is None else f"epoch {run.epoch:.1f} of {run.config.training.epochs}"
    left = f"{words.duration(run.eta_seconds)} left" if run.eta_seconds and run.state == "running" else ""
    return ", ".join(part for part in (epoch, f"{run.progress:.0%}", left) if part)


def machine(run: RunRead, workers: Sequence[WorkerRead]) -> str:
    """Such as ``On worker lab-1 · GPU 0: NVIDIA H100 · priority 0``; empty while it waits."""
    if run.worker_id is None or run.state == "queued":
        return ""
    verb = "Ran on" if words.has_ended(run) else "On"
    parts = [f"{verb} worker {run.worker_id}"]
    if run.gpus is not None:
        names = {gpu.index: gpu.name for worker in workers if worker.id == run.worker_id for gpu in worker.gpus}
        known = [f"GPU {index}: {names[index]}" if index in names else f"GPU {index}" for index in run.gpus]
        parts += known or ["processor"]
    if not words.has_ended(run):
        parts.append(f"priority {run.priority}")
    return " · ".join(parts)


def _waiting(run: RunRead) -> None:
    """Its place in the queue, its priority, and the reason why it waits."""
    place = queue_place(run)
    if place is None:
        return
    if not place.can_be_served:
        st.warning(f"**It cannot start.** {place.reason}", icon=":material/warning:")
    where, queue = st.columns([4, 1], vertical_alignment="center")
    where.markdown(
        f"Place {place.position} in the queue · priority {run.priority}. {place.reason if place.can_be_served else ''}"
    )
    queue.page_link(links.QUEUE, label="Queue", icon=":material/low_priority:")


def queue_place(run: RunRead) -> QueuePlace | None:
    """Where a queued run stands; None where a worker has taken it in the meantime."""
    try:
        return backend.client().queue_place(run.id)
    except ApiError as error:
        if error.status != 409:
            raise
        return None


def _failure(run: RunRead) -> None:
    st.error(f"**The run failed.** {plain_lines(run.error or 'Its log says why.')}", icon=":material/error:")
    if run.remedy:
        remedy_button(run, run.remedy)
        return
    st.caption(
        "**Resume** tries again from its newest checkpoint; **Change and launch** starts a new run with a config "
        "that you mend first. The log below ends with what happened."
    )


def _collapse(run: RunRead) -> str:
    rank, dim = run.summary.get("effective_rank"), run.summary.get("feature_dim")
    spread = f" (effective rank {rank:.3g}{f' of {dim}' if dim else ''})" if isinstance(rank, int | float) else ""
    return (
        f"Different images get nearly the same features{spread}, so what stands below says little. A lower learning rate, "
        "a longer warm-up, stronger augmentation or another temperature usually helps."
    )
