"""What others want of a running training process: go on, stop, or drain (make room, the run goes on elsewhere).

Under a supervisor the wishes are lines on standard input, and its end means that the supervisor is gone. A person
sends SIGINT or SIGTERM.
"""

import ctypes
import os
import signal
import sys
import threading
from typing import Literal

Wish = Literal["go_on", "stop", "drain"]
WISHES: tuple[Wish, ...] = ("go_on", "stop", "drain")

PR_SET_PDEATHSIG = 1
ORPHANED = 3
"""Exit code of a training process whose supervisor is gone."""


class DismissedError(Exception):
    """Rank 0 has ended while this rank of its team waited for it."""


class Wishes:
    """The latest wish; set from a thread or a signal handler, read by the training loop between two steps."""

    def __init__(self) -> None:
        self.current: Wish = "go_on"

    def listen_to_signals(self) -> None:
        """SIGINT or SIGTERM: checkpoint and stop. A second one ends the process at once."""

        def stop(number: int, _frame: object) -> None:
            self.current = "stop"
            signal.signal(number, signal.SIG_DFL)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

    def listen_to_supervisor(self, *, to_wishes: bool = True) -> None:
        """Lines "stop" and "drain" on standard input. The process does not outlive its supervisor.

        Of several ranks, which share their standard input, one alone listens ``to_wishes``.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        die_with_parent()
        if to_wishes:
            threading.Thread(target=self._read_standard_input, name="wishes", daemon=True).start()

    def _read_standard_input(self) -> None:
        for line in sys.stdin:
            match line.strip():
                case "stop":
                    self.current = "stop"
                case "drain":
                    self.current = "drain"
                case _:
                    continue
        os._exit(ORPHANED)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of standard input has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
