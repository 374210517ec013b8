"""What every service works with: settings, database, broker, hub, and a bell that wakes the reconcile loop."""

import secrets
import threading
import time
from dataclasses import dataclass, field

from backend.db.engine import Database
from backend.hub import Hub
from backend.queue import Broker
from backend.settings import Settings

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


@dataclass(frozen=True)
class Lab:
    """One backend's parts."""

    settings: Settings
    database: Database
    broker: Broker
    hub: Hub
    unsent: threading.Event = field(default_factory=threading.Event)
    """Set after a commit that leaves something to send."""

    def close(self) -> None:
        """Close the connections."""
        self.broker.close()
        self.database.close()


class _Clock:
    """Milliseconds since 1970 that never repeat within a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1_000_000)
            return self._last


_clock = _Clock()


def new_id() -> str:
    """A short id, unique and sortable by time: 9 characters of time and 4 at random."""
    milliseconds = _clock.tick()
    digits = [_ALPHABET[(milliseconds >> shift) & 31] for shift in range(40, -1, -5)]
    return "".join(digits) + "".join(secrets.choice(_ALPHABET) for _ in range(4))
