"""Sending imports to the broker, sending them again where their worker died, and clearing away stray uploads."""

import time
from datetime import timedelta

from sqlalchemy import select, update

from backend.contracts.datasets import ImportJob
from backend.contracts.tasks import INTERACTIVE_QUEUE
from backend.db.models import Dataset
from backend.db.types import utc_now
from backend.services import datasets
from backend.services.lab import Lab

MAX_SENDS = 3
_STRAY_SECONDS = 3600.0
_GAVE_UP = (
    f"The import was given to a worker {MAX_SENDS} times and none finished it: the worker probably ran out of "
    "memory or was stopped. Look at the worker's log, then import it again."
)


def send_imports(lab: Lab) -> None:
    """Send the imports that were not sent. Raises BrokerUnreachableError; they are sent later then."""
    unsent = (
        select(Dataset)
        .where(Dataset.state == "importing", Dataset.sent_at.is_(None))
        .order_by(Dataset.created_at, Dataset.name)
    )
    with lab.database.read() as session:
        rows = session.scalars(unsent).all()
    for row in rows:
        lab.broker.send_import(_job(row), task_id=row.import_id)
        now = utc_now()
        with lab.database.write() as session:
            session.execute(
                update(Dataset)
                .where(Dataset.import_id == row.import_id)
                .values(sent_at=now, seen_at=now, sends=Dataset.sends + 1)
            )


def search_imports(lab: Lab, *, judge: bool) -> None:
    """Note which imports still wait in the broker. With ``judge``, send a silent one again, and in the end give it up."""
    importing = select(Dataset).where(Dataset.state == "importing", Dataset.sent_at.is_not(None))
    with lab.database.read() as session:
        rows = session.scalars(importing).all()
    if not rows:
        return
    waiting = lab.broker.waiting(INTERACTIVE_QUEUE)
    with lab.database.write() as session:
        still_waiting = [row.import_id for row in rows if row.import_id in waiting]
        session.execute(update(Dataset).where(Dataset.import_id.in_(still_waiting)).values(seen_at=utc_now()))
    if judge:
        _judge(lab)


def sweep_uploads(lab: Lab) -> None:
    """Remove uploads that nobody imports any more: their backend died while it received them."""
    with lab.database.read() as session:
        wanted = set(session.scalars(select(Dataset.source_path).where(Dataset.state == "importing")))
    before = time.time() - _STRAY_SECONDS
    for path in lab.settings.uploads_dir.absolute().glob("*"):
        if str(path) not in wanted and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _judge(lab: Lab) -> None:
    silent_before = utc_now() - timedelta(seconds=lab.settings.import_silence_seconds)
    silent = (
        select(Dataset)
        .where(Dataset.state == "importing", Dataset.sent_at.is_not(None), Dataset.seen_at < silent_before)
        .with_for_update(skip_locked=True)
    )
    given_up: list[Dataset] = []
    with lab.database.write() as session:
        for row in session.scalars(silent):
            if row.sends < MAX_SENDS:
                row.sent_at = None
            else:
                row.state, row.error = "failed", _GAVE_UP
                given_up.append(row)
    for row in given_up:
        datasets.forget_upload(lab, row)
    lab.unsent.set()


def _job(row: Dataset) -> ImportJob:
    return ImportJob.model_validate({name: getattr(row, name) for name in ImportJob.model_fields})
