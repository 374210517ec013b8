"""Hearing at once what is wanted of a run: a request to the backend that waits for news, again and again."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, Self

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.runs import Claim, Wish

WAIT_SECONDS = 20.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
_BREATH_SECONDS = 0.1


class WishesApi(Protocol):
    """The part of ``backend.client.Client`` that watching needs."""

    def wait_for_wish(self, run_id: str, attempt: int, known: Wish, *, seconds: float) -> Wish: ...


class WishWatch:
    """Calls ``hear`` from a thread of its own whenever the wish changes, until the block ends.

    The posts of events bring the wish as well, so a backend that is away, or has no such route, is no trouble. The
    thread has a connection of its own: the request that waits when the block ends is left to run out.
    """

    def __init__(
        self, claim: Claim, connect: Callable[[], AbstractContextManager[WishesApi]], hear: Callable[[Wish], None]
    ) -> None:
        self._claim, self._connect, self._hear = claim, connect, hear
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wishes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()

    def _watch(self) -> None:
        known: Wish = "go_on"
        pause = FIRST_PAUSE
        with self._connect() as api:
            while not self._closing.is_set():
                try:
                    wish = api.wait_for_wish(self._claim.run_id, self._claim.attempt, known, seconds=WAIT_SECONDS)
                except ApiError as error:
                    if error.status in {404, 409}:
                        return  # the run is not ours any more: the next post says so too
                except BackendUnreachableError:
                    pass
                else:
                    pause = FIRST_PAUSE
                    if wish != known and not self._closing.is_set():
                        known = wish
                        self._hear(wish)
                    self._closing.wait(_BREATH_SECONDS)
                    continue
                self._closing.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
