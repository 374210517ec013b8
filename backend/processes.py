"""The processes of the Procfile: honcho's manager, stopping them in order and saying nothing of its own."""

import threading
import time
from collections.abc import Callable, Sequence

from honcho import manager
from honcho.manager import Manager

manager.KILL_WAIT = 40  # seconds from the first end to the kill of what is left; draining takes its time
_STAGE_SECONDS = 25.0


class Processes(Manager):
    """Processes that are stopped in stages: the next one hears SIGTERM when the one before has ended."""

    def __init__(self, stop_order: Sequence[Sequence[str]], after_start: Callable[[], None]) -> None:
        super().__init__()
        self._stop_order, self._after_start = stop_order, after_start

    def run(self) -> int:
        """Run until a signal (0) or until a process ends by itself (its exit code, or 1)."""
        self.loop()
        return 0 if self._was_told else int(self.returncode or 1)

    @property
    def _was_told(self) -> bool:
        return self.returncode in {rc["rc"] for rc in manager.SIGNALS.values()}

    def terminate(self) -> None:
        """Stop them in order, from a thread, so that their last words are still printed."""
        if not self._terminating:
            self._terminating = True
            threading.Thread(target=self._stop_in_order, name="stop", daemon=True).start()

    def _stop_in_order(self) -> None:
        for stage in self._stop_order:
            left = [process for name, process in self._processes.items() if name in stage]
            told: set[int] = set()
            end = time.monotonic() + _STAGE_SECONDS
            while left and time.monotonic() < end:
                left = [process for process in left if "returncode" not in process]
                for pid in {process["pid"] for process in left if "pid" in process} - told:
                    self._procmgr.terminate(pid)
                    told.add(pid)
                time.sleep(0.05)

    def _start(self) -> None:
        super()._start()
        threading.Thread(target=self._after_start, name="announce", daemon=True).start()

    def _system_print(self, data: str) -> None:
        """Honcho's own messages tell a person nothing."""
