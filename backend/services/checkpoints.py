"""The checkpoints of a run, for people."""

from sqlalchemy import select

from backend.contracts.runs import CheckpointListed
from backend.db.models import Checkpoint, JournalEntry
from backend.services import runs
from backend.services.lab import Lab


def listed(lab: Lab, run_id: str) -> list[CheckpointListed]:
    """The registered checkpoints, newest first, with the time that the training process gave."""
    newest_first = (Checkpoint.step.desc(), Checkpoint.attempt.desc())
    registered = select(Checkpoint).where(Checkpoint.run_id == run_id).order_by(*newest_first)
    told = select(JournalEntry).where(JournalEntry.run_id == run_id, JournalEntry.kind == "checkpoint")
    with lab.database.read() as session:
        runs.get(session, run_id)
        times = {entry.data["name"]: entry.time for entry in session.scalars(told.order_by(JournalEntry.id))}
        return [
            CheckpointListed(
                name=row.name, step=row.step, sha256=row.sha256, size_bytes=row.size_bytes, time=times.get(row.name)
            )
            for row in session.scalars(registered)
        ]
