"""A function over many items in threads, batch by batch: results in order, and only so many ahead of the reader."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_MOST_IN_BATCH = 64
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_batches(
    function: Callable[[Sequence[_Item]], Sequence[_Result]], items: Sequence[_Item], *, threads: int, ahead: int
) -> Iterator[_Result]:
    """The results for all items, in order, where ``function`` gives those for a batch; what it raises is raised here.

    At most ``ahead`` results wait, or one a thread where that is more.
    """
    size = max(1, min(_MOST_IN_BATCH, ahead // (threads + 1)))
    waiting: deque[Future[Sequence[_Result]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for start in range(0, len(items), size):
            waiting.append(pool.submit(function, items[start : start + size]))
            if len(waiting) * size >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
