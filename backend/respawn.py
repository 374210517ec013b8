"""Keep one process alive: ``python -m backend.respawn COMMAND...`` starts it again, ever more slowly, when it dies.

A process manager that runs a Procfile stops everything when one process ends; under this one none does, until
SIGTERM or SIGINT. Those go to the direct child alone: a Celery node whose pool is hit by them as well cannot drain.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

STOP_SECONDS = 20
"""How long the child may take to end before its whole group is killed."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
HEALTHY_SECONDS = 30.0
"""A child that lived for so long dies by accident, and is started again at once."""
GUARDIAN = "SIMCLR_LAB_UP_PID"
"""Names the process without which the child must not live: ``backend.up``."""
_PR_SET_PDEATHSIG = 1


class Respawner:
    """The command, its running child, and whether it is wanted."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._child: subprocess.Popen[bytes] | None = None
        self._kill_at: float | None = None
        guardian = os.environ.get(GUARDIAN)
        self._guardian = int(guardian) if guardian else None

    def run(self) -> int:
        """Run until told to stop. Returns the exit code, 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        pause = FIRST_PAUSE
        while not self._is_stopping:
            started = time.monotonic()
            code = self._run_child()
            if self._is_stopping:
                break
            if time.monotonic() - started > HEALTHY_SECONDS:
                pause = FIRST_PAUSE
            print(f"ended ({_cause(code)}); starts again in {pause:g} s", flush=True)  # noqa: T201 (this is its log)
            self._rest(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return 0

    @property
    def _is_stopping(self) -> bool:
        return self._kill_at is not None

    def _run_child(self) -> int:
        with subprocess.Popen(
            self._command,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (one thread only, so safe)
        ) as child:
            self._child = child
            if self._is_stopping:  # the signal came while the child was being started
                child.terminate()
            code = child.wait()
            self._child = None
        _kill_group(child.pid)
        return code

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            return
        self._kill_at = time.monotonic() + STOP_SECONDS
        if self._child is not None:
            self._child.terminate()

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        """Every second: stop without the guardian, and kill what does not end in time."""
        if self._guardian is not None and not _is_alive(self._guardian):
            self._stop(signal.SIGTERM, None)
        if self._kill_at is not None and time.monotonic() > self._kill_at and self._child is not None:
            _kill_group(self._child.pid)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Respawner(sys.argv[1:]).run())
