"""Calls to the backend about one attempt: repeated, ever more slowly, while it is away or in trouble."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from backend.client import ApiError, BackendUnreachableError

T = TypeVar("T")
LOG = logging.getLogger(__name__)
TICK_SECONDS = 0.1
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
FAREWELL_SECONDS = 10.0
"""How long a worker that shuts down goes on trying to reach a backend that is away."""


class LeaseLostError(Exception):
    """The run is not ours any more: it was given to another attempt, or deleted."""


class RefusedError(Exception):
    """The backend will never take what we send: the attempt cannot go on."""


class GivenUpError(Exception):
    """The worker shuts down and the backend does not answer: the lease will bring the run back."""


class BackendLink:
    """What to do about the backend's answers, and about none. ``may_leave``: whether nobody needs us here any more."""

    def __init__(self, run_id: str, may_leave: Callable[[], bool]) -> None:
        self._run_id, self._may_leave = run_id, may_leave
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._give_up_at: float | None = None

    def attempt(self, call: Callable[[], T]) -> T | None:
        """The answer, or None where the backend is away or in trouble, or was a moment ago.

        Raises LeaseLostError, RefusedError, or GivenUpError where we may leave and have waited long enough.
        """
        if time.monotonic() < self._retry_at:
            return None
        try:
            answer = call()
        except ApiError as error:
            if error.status in {404, 409}:
                raise LeaseLostError(str(error)) from error
            if error.status < 500 and error.status not in {401, 403, 408, 429}:
                raise RefusedError(str(error)) from error
            self._back_off(error)
        except BackendUnreachableError as error:
            self._back_off(error)
        else:
            self._pause, self._give_up_at = FIRST_PAUSE, None
            return answer
        return None

    def insist(self, call: Callable[[], object]) -> None:
        """Repeat a call until the backend has answered it. Raises as ``attempt`` does."""
        while self.attempt(lambda: (call(),)) is None:
            time.sleep(TICK_SECONDS)

    def _back_off(self, error: Exception) -> None:
        now = time.monotonic()
        if self._may_leave():
            self._give_up_at = self._give_up_at or now + FAREWELL_SECONDS
            if now >= self._give_up_at:
                raise GivenUpError from error
        if self._pause == FIRST_PAUSE:
            LOG.warning("run %s goes on; the backend does not take its events now: %s", self._run_id, error)
        self._retry_at = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
