"""The load that a training process causes, from processes that cause a known one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backend.contracts.runs import SystemSample
from tests.worker.bench import Bench, wait_until
from worker import load_meter
from worker.load_meter import process_load

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import time
held = bytearray(100_000_000)
while time.process_time() < 0.5:
    pass
print("ready", flush=True)
time.sleep(60)
'''])
child.wait()
"""


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has printed a line, and is killed with its group afterwards."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_what_a_process_started_counts_as_its_own():
    with running(PARENT) as process:
        seconds, resident = process_load(process.pid)
    assert seconds >= 0.5
    assert resident >= 100_000_000


def test_a_process_that_is_over_causes_no_load():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert process_load(process.pid) == (0.0, 0)


def test_samples_are_posted_with_the_events(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load_meter, "SAMPLE_SECONDS", 0.05)

    def samples() -> list[SystemSample]:
        return [batch.system for batch in bench.backend.batches if batch.system]

    with bench.supervising("""
    held = bytearray(50_000_000)
    while not os.path.exists(os.path.join(run_dir, "enough")):
        write("log", message="busy")
        time.sleep(0.01)
    write("end", outcome="succeeded")
    """):
        wait_until(lambda: any(sample.values["memory_bytes"] > 50_000_000 for sample in samples()))
        wait_until(lambda: any(sample.values["cpu_percent"] > 0 for sample in samples()))
        (bench.run_dir / "enough").touch()
    times = [sample.time for sample in samples()]
    assert times == sorted(set(times)), "each is posted once"
