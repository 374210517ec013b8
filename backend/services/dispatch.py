"""Sending queued runs to the broker, and finding those that the broker has lost."""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from backend.contracts.tasks import RUNS_QUEUE
from backend.db.models import Run
from backend.db.types import utc_now
from backend.queue import BrokerUnreachableError
from backend.services.lab import Lab

_BATCH = 100
_SETTLED_SECONDS = 5


def send_runs(lab: Lab) -> int:
    """Send the queued runs that were not sent, in the order of their launch. Returns how many.

    A run is marked as sent first: if this process dies between, the message is found missing and sent later.
    Raises BrokerUnreachableError, with what was not sent marked as such.
    """
    sent = 0
    while batch := _mark_unsent(lab):
        for position, run_id in enumerate(batch):
            try:
                lab.broker.send_run(run_id)
            except BrokerUnreachableError:
                _mark(lab, batch[position:], None)
                raise
        sent += len(batch)
    return sent


def missing_runs(lab: Lab) -> dict[str, datetime]:
    """Queued runs that were sent a while ago but do not wait in the broker, with the time they were sent.

    One that is missing once may be on its way from the broker to its claim; one that stays missing is lost.
    """
    settled = utc_now() - timedelta(seconds=_SETTLED_SECONDS)
    with lab.database.read() as session:
        rows = session.execute(select(Run.id, Run.sent_at).where(Run.state == "queued", Run.sent_at < settled))
        sent = {row.id: row.sent_at for row in rows}
    if not sent:
        return {}
    waiting = lab.broker.waiting(RUNS_QUEUE)
    return {run_id: time for run_id, time in sent.items() if time is not None and run_id not in waiting}


def send_again(lab: Lab, lost: dict[str, datetime]) -> None:
    """Mark lost runs as not sent, unless another backend has sent them again meanwhile."""
    if not lost:
        return
    with lab.database.write() as session:
        for run_id, sent_at in lost.items():
            same = (Run.id == run_id, Run.state == "queued", Run.sent_at == sent_at)
            session.execute(update(Run).where(*same).values(sent_at=None))
    lab.unsent.set()


def _mark_unsent(lab: Lab) -> list[str]:
    unsent = select(Run.id).where(Run.state == "queued", Run.sent_at.is_(None)).order_by(Run.id).limit(_BATCH)
    with lab.database.read() as session:
        if session.scalars(unsent).first() is None:
            return []
    with lab.database.write() as session:
        batch = list(session.scalars(unsent.with_for_update(skip_locked=True)))
        session.execute(update(Run).where(Run.id.in_(batch)).values(sent_at=utc_now()))
    return batch


def _mark(lab: Lab, run_ids: list[str], sent_at: datetime | None) -> None:
    with lab.database.write() as session:
        session.execute(update(Run).where(Run.id.in_(run_ids), Run.state == "queued").values(sent_at=sent_at))
