"""The worker's sign of life: who it is, what it has to offer and how busy it is, posted every few seconds."""

import dataclasses
import logging
import os
import platform
import socket
import threading
from importlib.metadata import version

from backend.client import ApiError, BackendUnreachableError, Client
from backend.contracts.workers import WorkerBeat
from worker.hardware import find_gpus, measure_load
from worker.settings import VERSION, Settings
from worker.simclr.cores import available_cores

LOG = logging.getLogger(__name__)
BEAT_SECONDS = 5.0

WORKER_ID = f"{socket.gethostname()}-{os.getpid()}"
"""Host and process of the node: its pool is forked from here, so a child bears its parent's name."""
_VERSIONS = {"python": platform.python_version(), "torch": version("torch"), "simclr_lab": VERSION}


def describe_worker(settings: Settings) -> WorkerBeat:
    """Who this worker is, what it has to offer, and how busy its machine is now."""
    return WorkerBeat(
        id=WORKER_ID,
        host=socket.gethostname(),
        gpus=find_gpus(),
        slots_per_gpu=settings.slots_per_gpu,
        cores=available_cores(),
        versions=_VERSIONS,
        **dataclasses.asdict(measure_load(settings.home)),
    )


def beat_for_ever(settings: Settings, closing: threading.Event) -> None:
    """Beat until ``closing`` is set; a backend that is away, or has not made its token yet, is tried again."""
    while not closing.is_set():
        try:
            with Client.connect(settings, timeout=10.0) as client:
                while not closing.is_set():
                    client.beat(describe_worker(settings))
                    closing.wait(BEAT_SECONDS)
        except (ApiError, BackendUnreachableError, FileNotFoundError) as error:
            LOG.debug("no beat: %s", error)
            closing.wait(1.0)
