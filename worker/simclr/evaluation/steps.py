"""Work that takes a while: a generator that yields the share done, from 0 to 1, and returns its result.

Whoever drives it may stop between two yields, by closing it.
"""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[float, None, Result]


def scaled(steps: Steps[Result], start: float, share: float) -> Steps[Result]:
    """``steps`` with its progress mapped from [0, 1] to [start, start + share]."""
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            return stop.value
        yield start + share * done
