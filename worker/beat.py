"""The worker's sign of life: who it is and what it runs on, posted every few seconds."""

import logging
import os
import platform
import socket
import threading
from importlib.metadata import version

import psutil

from backend.client import ApiError, BackendUnreachableError, Client
from backend.contracts.workers import WorkerBeat
from worker.settings import VERSION, Settings

LOG = logging.getLogger(__name__)
BEAT_SECONDS = 5.0

WORKER_ID = f"{socket.gethostname()}-{os.getpid()}"
"""Host and process of the node: its pool is forked from here, so a child bears its parent's name."""


def describe_worker() -> WorkerBeat:
    """Describe this machine without loading torch, which takes seconds and memory that the training process needs."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    return WorkerBeat(
        id=WORKER_ID,
        host=socket.gethostname(),
        gpus=[],
        slots_per_gpu=1,
        cores=os.cpu_count() or 1,
        cpu_percent=psutil.cpu_percent(),
        memory_bytes=memory.total,
        memory_used_bytes=memory.total - memory.available,
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        versions={"python": platform.python_version(), "torch": version("torch"), "simclr_lab": VERSION},
    )


def beat_for_ever(settings: Settings, closing: threading.Event) -> None:
    """Beat until ``closing`` is set; a backend that is away, or has not made its token yet, is tried again."""
    description = describe_worker()
    while not closing.is_set():
        try:
            with Client.connect(settings, timeout=10.0) as client:
                while not closing.is_set():
                    client.beat(description)
                    closing.wait(BEAT_SECONDS)
        except (ApiError, BackendUnreachableError, FileNotFoundError) as error:
            LOG.debug("no beat: %s", error)
            closing.wait(1.0)
