"""Workers: the machines that take runs, how busy they are, and how to start one."""

import streamlit as st

from frontend.components import backend
from frontend.components.worker_card import worker_card

_ELSEWHERE = """SIMCLR_LAB_API_URL=http://THIS_MACHINE:8000 \\
SIMCLR_LAB_REDIS_URL=redis://:PASSWORD@THIS_MACHINE:6379/0 \\
  .venv/bin/python -m worker.start --slots-per-gpu 1"""


def show() -> None:
    """The whole page."""
    st.title("Workers")
    backend.live(_list, seconds=3)


def _list() -> None:
    client = backend.client()
    workers = sorted(client.workers(), key=lambda one: (not one.alive, one.host, one.id))
    if not any(worker.alive for worker in workers):
        _how_to_start()
    names = {run.id: run.name for run in client.runs(limit=200).items} if any(one.run_ids for one in workers) else {}
    for worker in workers:
        worker_card(worker, names)


def _how_to_start() -> None:
    st.info("No worker is running, so runs stay queued. Start one; it shows up here within seconds.")
    st.markdown("On this machine, with everything else:")
    st.code("make up", language="bash")
    st.markdown(
        "On another machine, which sees the same data directory (`SIMCLR_LAB_HOME`) and the same Redis or Valkey:"
    )
    st.code(_ELSEWHERE, language="bash")
    st.caption(
        "The embedded Valkey of `make up` answers on this machine only; the token is read from the data directory."
    )


if __name__ == "__main__":
    show()
