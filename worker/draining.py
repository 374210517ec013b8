"""Whether this worker shuts down: told to the node's parent process, seen by its children."""

import mmap


class SharedFlag:
    """A flag in memory that processes forked afterwards share. It is raised once and never lowered."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def raise_(self) -> None:
        """Raise it, for this process and its children."""
        self._memory[0] = 1

    def is_raised(self) -> bool:
        """Whether it was raised."""
        return self._memory[0] == 1


DRAINING = SharedFlag()
"""Raised when Celery begins a warm shutdown; made before the pool forks."""
