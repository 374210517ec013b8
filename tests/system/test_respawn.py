"""``backend.respawn`` keeps one process alive, and leaves nothing of it when told to stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.conftest import ROOT, wait_until

WRITE_PID = "import os, time; print(os.getpid(), file=open('pids', 'a'), flush=True); "
SLEEP = WRITE_PID + "time.sleep(60)"


class Respawned:
    """A respawn process in a folder, and the process ids that its children wrote there."""

    def __init__(self, folder: Path, code: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backend.respawn", sys.executable, "-c", code],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pids(self) -> list[int]:
        path = self.folder / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def stop(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=30)[0]


@pytest.fixture
def respawn(tmp_path: Path) -> Iterator[Callable[..., Respawned]]:
    started: list[Respawned] = []

    def start(code: str, **environment: str) -> Respawned:
        started.append(Respawned(tmp_path, code, environment))
        return started[-1]

    yield start
    for respawned in started:
        if respawned.process.poll() is None:
            respawned.process.kill()
        respawned.process.communicate()


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_killed_child_is_started_again_and_its_end_is_told(respawn: Callable[..., Respawned]):
    respawned = respawn(SLEEP)
    wait_until(lambda: len(respawned.pids) == 1, "the child runs")
    os.kill(respawned.pids[0], signal.SIGKILL)
    wait_until(lambda: len(respawned.pids) == 2, "the child runs again")
    assert "ended (killed by SIGKILL); starts again in 0.5 s" in respawned.stop()
    assert not is_running(respawned.pids[1])


def test_a_child_that_ends_at_once_is_started_ever_more_slowly(respawn: Callable[..., Respawned]):
    respawned = respawn(WRITE_PID + "raise SystemExit(3)")
    wait_until(lambda: len(respawned.pids) == 3, "the third start")
    log = respawned.stop()
    assert "ended (exit code 3); starts again in 0.5 s" in log
    assert "ended (exit code 3); starts again in 1 s" in log


def test_sigterm_reaches_the_child_alone_and_what_it_leaves_is_killed(respawn: Callable[..., Respawned]):
    grandchild = f"import signal; signal.signal(15, lambda *_: open('hit', 'w')); {SLEEP}"
    respawned = respawn(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])")
    wait_until(lambda: len(respawned.pids) == 1, "the grandchild runs")
    respawned.stop()
    wait_until(lambda: not is_running(respawned.pids[0]), "the grandchild is gone")
    assert not (respawned.folder / "hit").exists()
    assert respawned.process.returncode == 0


def test_the_child_does_not_outlive_a_killed_respawn(respawn: Callable[..., Respawned]):
    if sys.platform != "linux":
        pytest.skip("only Linux can tie a process to its parent")
    respawned = respawn(SLEEP)
    wait_until(lambda: len(respawned.pids) == 1, "the child runs")
    respawned.process.kill()
    wait_until(lambda: not is_running(respawned.pids[0]), "the child is gone", seconds=5)


def test_it_stops_when_the_process_that_guards_it_is_gone(respawn: Callable[..., Respawned]):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as guardian:
        respawned = respawn(SLEEP, SIMCLR_LAB_UP_PID=str(guardian.pid))
        wait_until(lambda: len(respawned.pids) == 1, "the child runs")
        guardian.kill()
    started = time.monotonic()
    respawned.process.communicate(timeout=10)
    assert time.monotonic() - started < 5
    assert not is_running(respawned.pids[0])
