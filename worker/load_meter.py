"""The load that a training process causes: its processes' processor time and memory, and its GPUs."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

import psutil

from backend.contracts.runs import SystemSample
from worker.hardware import find_gpus

SAMPLE_SECONDS = 5.0


class LoadMeter:
    """Measures a process, what it started, and these GPUs, every few seconds until the block ends.

    In a thread of its own: a driver that does not answer must not keep the lease from being renewed.
    """

    def __init__(self, pid: int, gpus: Sequence[int]) -> None:
        self._pid, self._gpus = pid, gpus
        self._sample: SystemSample | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()

    def take(self) -> SystemSample | None:
        """The newest sample, once."""
        sample, self._sample = self._sample, None
        return sample

    def _measure(self) -> None:
        before, since = process_load(self._pid)[0], time.monotonic()
        while not self._closing.wait(SAMPLE_SECONDS):
            (used, resident), now = process_load(self._pid), time.monotonic()
            cpu_percent = max(0.0, 100 * (used - before) / (now - since))
            values = {"cpu_percent": cpu_percent, "memory_bytes": float(resident), **gpu_values(self._gpus)}
            self._sample = SystemSample(time=datetime.now(UTC), values=values)
            before, since = used, now


def process_load(pid: int) -> tuple[float, int]:
    """Seconds of processor time and bytes of memory that a process and what it started use.

    The time of processes that it has waited for is in; memory that they share counts more than once.
    """
    seconds, resident = 0.0, 0
    with suppress(psutil.NoSuchProcess):
        trainer = psutil.Process(pid)
        for process in (trainer, *trainer.children(recursive=True)):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
                resident += process.memory_info().rss
    return seconds, resident


def gpu_values(gpus: Sequence[int]) -> dict[str, float]:
    """What the GPUs with these indices tell, by name."""
    values: dict[str, float] = {}
    for gpu in find_gpus() if gpus else ():
        if gpu.index in gpus:
            told = {
                "percent": gpu.utilisation_percent,
                "memory_bytes": gpu.memory_used_bytes,
                "celsius": gpu.celsius,
                "watts": gpu.watts,
            }
            values |= {f"gpu{gpu.index}_{name}": float(value) for name, value in told.items() if value is not None}
    return values
