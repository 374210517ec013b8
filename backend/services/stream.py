"""The live stream of a run: journal entries after a cursor."""

from collections.abc import Sequence

from sqlalchemy import select

from backend.contracts.runs import ENDED, RunRead
from backend.db.models import JournalEntry
from backend.services import runs
from backend.services.lab import Lab

_PAGE = 500


def entries_after(lab: Lab, run_id: str, cursor: int) -> tuple[Sequence[JournalEntry], RunRead, bool]:
    """The next entries above ``cursor``, the run, and whether that is all that will ever come.

    Raises NotFoundError where the run was deleted. The run is read first: what ended before has written all its entries.
    """
    with lab.database.read() as session:
        run = runs.read_model(runs.get(session, run_id))
        later = select(JournalEntry).where(JournalEntry.run_id == run_id, JournalEntry.id > cursor)
        entries = session.scalars(later.order_by(JournalEntry.id).limit(_PAGE)).all()
    return entries, run, run.state in ENDED and len(entries) < _PAGE
