"""Who is behind the request at hand, for the history of a run: set where tokens are known, read where moves are recorded."""

from contextvars import ContextVar

USER = "user"
"""Whoever has the data directory's token: the lab's own page."""
ACTOR: ContextVar[str] = ContextVar("actor", default=USER)
