"""How many requests a minute, counted in this process's memory: each backend counts by itself."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


class Rate:
    """So many a minute for each key (a token's id, an address)."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, key: str) -> bool:
        """Count one; False where there are too many."""
        return self._window.hit(self._item, key)

    def is_spent(self, key: str) -> bool:
        """Whether one more would be too many."""
        return not self._window.test(self._item, key)

    def seconds_left(self, key: str) -> int:
        """After so many seconds it is worth trying again."""
        return max(1, math.ceil(self._window.get_window_stats(self._item, key).reset_time - time.time()))
