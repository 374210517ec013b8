"""Retention: checkpoints of runs that ended long ago go; the runs, their metrics and their artifacts stay."""

from datetime import timedelta

from sqlalchemy import delete, exists, select

from backend.contracts.runs import ENDED
from backend.db.models import Checkpoint, Run
from backend.db.types import utc_now
from backend.services import folders
from backend.services.lab import Lab


def remove_old_checkpoints(lab: Lab) -> int:
    """Remove the checkpoints of runs that ended longer ago than the settings keep them. Returns of how many runs.

    The files go while the run's row is locked, so a run that is resumed meanwhile is either spared or starts without them.
    """
    days = lab.settings.checkpoint_retention_days
    if days is None:
        return 0
    old = (Run.state.in_(ENDED), Run.finished_at < utc_now() - timedelta(days=days))
    with_checkpoints = select(Run.id).where(*old, exists().where(Checkpoint.run_id == Run.id)).order_by(Run.id)
    with lab.database.read() as session:
        run_ids = session.scalars(with_checkpoints).all()
    return sum(_remove_checkpoints(lab, run_id, timedelta(days=days)) for run_id in run_ids)


def _remove_checkpoints(lab: Lab, run_id: str, kept: timedelta) -> bool:
    still_old = (Run.id == run_id, Run.state.in_(ENDED), Run.finished_at < utc_now() - kept)
    with lab.database.write() as session:
        if session.scalars(select(Run.id).where(*still_old).with_for_update(skip_locked=True)).first() is None:
            return False
        session.execute(delete(Checkpoint).where(Checkpoint.run_id == run_id))
        folders.remove(lab.settings.runs_dir, run_id, "checkpoints")
    return True
