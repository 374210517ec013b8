"""A worker as a card: what it is, how busy it is, what it is at, and the buttons that drain it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import streamlit as st

from backend.contracts.workers import Gpu, WorkerRead
from frontend.components import backend, links, words
from frontend.components.text import plain

_LOW_DISK_BYTES = 10e9
_LOW_DISK_SHARE = 0.1


def worker_card(worker: WorkerRead, run_names: Mapping[str, str]) -> None:
    """Draw it; ``run_names`` by id."""
    with st.container(border=True):
        title, button = st.columns([5, 1], vertical_alignment="center")
        title.markdown(f"{badge(worker)} **{plain(worker.host)}** &nbsp; {plain(worker.id)}")
        if worker.alive:
            with button:
                _drain_button(worker)
            _load(worker)
        if disk_is_low(worker):
            st.warning(
                f"**Only {words.size(worker.disk_free_bytes)} of disk are free.** Checkpoints and datasets need room: "
                "delete runs and datasets that you no longer need.",
                icon=":material/hard_drive:",
            )
        _runs(worker, run_names)
        st.caption(plain(" · ".join(f"{name} {version}" for name, version in worker.versions.items())))


def badge(worker: WorkerRead) -> str:
    """Alive, draining, or silent and since when, as coloured Markdown."""
    if not worker.alive:
        silent = words.duration((datetime.now(UTC) - worker.last_seen).total_seconds())
        return f":gray-badge[:material/cloud_off: silent for {silent}]"
    if worker.draining:
        return ":orange-badge[:material/pause: takes no runs]"
    return ":green-badge[:material/check: alive]"


def disk_is_low(worker: WorkerRead) -> bool:
    """Less than a tenth of the disk is free, and less than 10 GB."""
    return worker.alive and worker.disk_free_bytes < min(_LOW_DISK_BYTES, _LOW_DISK_SHARE * worker.disk_bytes)


def gpu_facts(gpu: Gpu) -> str:
    """Such as ``63 °C · 412 W``, as far as the driver tells."""
    found = [
        f"{gpu.celsius:.0f} °C" if gpu.celsius is not None else "",
        f"{gpu.watts:.0f} W" if gpu.watts is not None else "",
    ]
    return " · ".join(fact for fact in found if fact)


def _load(worker: WorkerRead) -> None:
    for gpu in worker.gpus:
        _gpu(gpu)
    cpu, memory, disk = st.columns(3)
    cpu.progress(
        min(1.0, worker.cpu_percent / 100),
        text=f"Processor {worker.cpu_percent:.0f}% of {words.count(worker.cores, 'core')}",
    )
    memory.progress(
        _share(worker.memory_used_bytes, worker.memory_bytes),
        text=f"Memory {words.size(worker.memory_used_bytes)} of {words.size(worker.memory_bytes)}",
    )
    disk.progress(
        1 - _share(worker.disk_free_bytes, worker.disk_bytes),
        text=f"Disk {words.size(worker.disk_free_bytes)} free of {words.size(worker.disk_bytes)}",
    )


def _gpu(gpu: Gpu) -> None:
    name, utilisation, memory = st.columns(3, vertical_alignment="center")
    name.markdown(f"GPU {gpu.index}: {plain(gpu.name)}  \n:small[:gray[{gpu_facts(gpu)}]]")
    if gpu.utilisation_percent is not None:
        utilisation.progress(gpu.utilisation_percent / 100, text=f"Utilisation {gpu.utilisation_percent:.0f}%")
    if gpu.memory_used_bytes is None:
        memory.caption(f"Memory {words.size(gpu.memory_bytes)}")
    else:
        memory.progress(
            _share(gpu.memory_used_bytes, gpu.memory_bytes),
            text=f"Memory {words.size(gpu.memory_used_bytes)} of {words.size(gpu.memory_bytes)}",
        )


def _runs(worker: WorkerRead, run_names: Mapping[str, str]) -> None:
    if worker.alive:
        st.markdown(f"**{len(worker.run_ids)} of {words.count(worker.slots, 'slot')} taken**")
    for run_id in worker.run_ids:
        label = run_names.get(run_id, f"run {run_id[-5:]}")
        st.page_link(links.RUN, label=plain(label), icon=":material/play_arrow:", query_params={"id": run_id})


def _drain_button(worker: WorkerRead) -> None:
    client = backend.client()
    if worker.draining:
        again = st.button("Take runs again", key=f"undrain:{worker.id}", width="stretch")
        if again:
            client.undrain_worker(worker.id)
            st.rerun()
        return
    with st.popover("Drain", icon=":material/pause:", key=f"drain:{worker.id}", width="stretch"):
        st.write(drained(worker))
        if st.button("Drain this worker", type="primary", key=f"drain:{worker.id}:yes"):
            client.drain_worker(worker.id)
            st.rerun()


def drained(worker: WorkerRead) -> str:
    """What draining it will do."""
    at = len(worker.run_ids)
    goes = "makes a checkpoint and goes" if at == 1 else "make a checkpoint and go"
    moved = f"Its {words.count(at, 'run')} {goes} back to the queue. " if at else ""
    return f"{moved}It takes no run until **Take runs again**."


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole else 0.0
