"""Which runs a transaction changes, gathered from what it writes into the journal, so that no author can forget to say it.

Journal entries are made visible in the order of their ids: who has read up to an id never finds a lower one later.
SQLite has one writer at a time anyway; on PostgreSQL a writer of the journal holds a lock until its commit.
"""

from typing import Any

from sqlalchemy import event, text
from sqlalchemy.orm import ORMExecuteState, Session

from backend.db.models import JournalEntry

_KEY = "changed_runs"
_LOCK = text("SELECT pg_advisory_xact_lock(:number)").bindparams(number=0x51_3C_1A)


class WriteSession(Session):
    """A session that knows which runs it has changed."""

    @property
    def changed_runs(self) -> set[str]:
        """The ids, so far."""
        return self.info.setdefault(_KEY, set())


def note(session: Session, run_id: str) -> None:
    """Say that a run has changed, where the journal does not: it was removed, or something else is wanted of it."""
    session.info.setdefault(_KEY, set()).add(run_id)


@event.listens_for(WriteSession, "before_flush")
def _see_objects(session: Session, _context: Any, _instances: Any) -> None:  # pyright: ignore[reportUnusedFunction]
    _see(session, [entry.run_id for entry in session.new if isinstance(entry, JournalEntry)])


@event.listens_for(WriteSession, "do_orm_execute")
def _see_statement(state: ORMExecuteState) -> None:  # pyright: ignore[reportUnusedFunction]
    if not state.is_insert or state.bind_mapper is None or state.bind_mapper.class_ is not JournalEntry:
        return
    rows: Any = state.parameters or ()
    _see(state.session, [row["run_id"] for row in ([rows] if isinstance(rows, dict) else rows)])


def _see(session: Session, run_ids: list[str]) -> None:
    if not run_ids:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(_LOCK)
    for run_id in run_ids:
        note(session, run_id)
