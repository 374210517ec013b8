"""The live streams: journal entries after a cursor, of one run or of all, a bounded page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from backend.contracts.runs import ENDED, RunRead
from backend.db.models import JournalEntry
from backend.services import runs
from backend.services.lab import Lab

OVERVIEW_KINDS = ("state", "phase", "progress")
_PAGE = 500
_SPAN = 5000
"""How many ids a page over all runs spans: most of them belong to kinds that it leaves out."""


@dataclass(frozen=True)
class Page:
    """Entries in order, and where to go on."""

    entries: Sequence[JournalEntry]
    cursor: int
    is_last: bool
    """There is nothing more at the moment."""
    ended: RunRead | None = None
    """The run, where nothing more will ever come."""


def of_run(lab: Lab, run_id: str, cursor: int) -> Page:
    """The next entries of a run above ``cursor``.

    Raises NotFoundError where the run was deleted. The run is read first: what ended before has written all its entries.
    """
    with lab.database.read() as session:
        run = runs.get(session, run_id)
        later = select(JournalEntry).where(JournalEntry.run_id == run_id, JournalEntry.id > cursor)
        entries = session.scalars(later.order_by(JournalEntry.id).limit(_PAGE)).all()
        is_last = len(entries) < _PAGE
        ended = runs.read_model(run) if is_last and run.state in ENDED else None
    return Page(entries, entries[-1].id if entries else cursor, is_last, ended)


def of_all(lab: Lab, cursor: int) -> Page:
    """The next states, phases and progress of all runs above ``cursor``."""
    with lab.database.read() as session:
        newest = session.scalar(select(func.max(JournalEntry.id))) or 0
        end = min(max(newest, cursor), cursor + _SPAN)
        between = (JournalEntry.id > cursor, JournalEntry.id <= end)
        later = select(JournalEntry).where(*between, JournalEntry.kind.in_(OVERVIEW_KINDS))
        entries = session.scalars(later.order_by(JournalEntry.id)).all()
    return Page(entries, end, end >= newest)


def newest(lab: Lab) -> int:
    """The cursor from which a stream of all runs begins that wants nothing of the past."""
    with lab.database.read() as session:
        return session.scalar(select(func.max(JournalEntry.id))) or 0
