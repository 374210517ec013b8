"""The reconcile loop: what must happen even where a process died in the middle of it. Safe in several backends."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import select

from backend.db.models import Run
from backend.db.types import utc_now
from backend.queue import BrokerUnreachableError
from backend.services import attempts, dispatch, import_dispatch, retention
from backend.services.lab import Lab

_LOG = logging.getLogger(__name__)
_SEARCH_SECONDS = 5.0
_RETENTION_SECONDS = 3600.0
ACTOR = "reconcile"


class Reconciler:
    """A thread that reconciles every ``settings.reconcile_seconds``, and at once when ``lab.unsent`` is set.

    A lease is judged only by a loop that has watched for as long as a lease lasts: after the backend, the database or
    the whole machine was away, workers get that time to say that they are still there.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self._watching_since = 0.0
        self._next_search = 0.0
        self._next_retention = 0.0
        self._complaints: set[str] = set()

    def start(self) -> None:
        """Begin."""
        self._watching_since = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """End, after the step at hand."""
        self._closing.set()
        self._lab.unsent.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._step()
            self._pause()

    def _step(self) -> None:
        lab, now = self._lab, time.monotonic()
        watched = now - self._watching_since
        if watched >= lab.settings.lease_seconds and not self._try("expire leases", lambda: expire_leases(lab)):
            self._watching_since = time.monotonic()
        self._try("send hints", lambda: dispatch.send_hints(lab))
        self._try("send imports", lambda: import_dispatch.send_imports(lab))
        if now >= self._next_search:
            self._next_search = now + _SEARCH_SECONDS
            judge = watched >= lab.settings.import_silence_seconds
            self._try("search for lost imports", lambda: import_dispatch.search_imports(lab, judge=judge))
            self._try("sweep uploads", lambda: import_dispatch.sweep_uploads(lab))
        if now >= self._next_retention:
            self._next_retention = now + _RETENTION_SECONDS
            self._try("remove old checkpoints", lambda: retention.remove_old_checkpoints(lab))

    def _pause(self) -> None:
        settings, before = self._lab.settings, time.time()
        self._lab.unsent.wait(settings.reconcile_seconds)
        self._lab.unsent.clear()
        if time.time() - before > settings.reconcile_seconds + settings.lease_seconds / 2:
            self._watching_since = time.monotonic()  # the machine slept, or this process was stopped

    def _try(self, what: str, action: Callable[[], object]) -> bool:
        """Do it. What fails is logged once until it works again, and is tried again at the next step."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the loop must outlive whatever fails in it
            if what not in self._complaints:
                trace = None if isinstance(error, BrokerUnreachableError) else error
                _LOG.warning("cannot %s, trying again: %s", what, error, exc_info=trace)
            self._complaints.add(what)
            return False
        if what in self._complaints:
            _LOG.info("can %s again", what)
            self._complaints.remove(what)
        return True


def expire_leases(lab: Lab) -> int:
    """Take back the runs whose worker was silent for longer than its lease. Returns how many."""
    expired = (
        select(Run).where(Run.state.in_(("running", "stopping")), Run.lease_expires_at < utc_now()).order_by(Run.id)
    )
    with lab.database.read() as session:
        if session.scalars(expired).first() is None:
            return 0
    with lab.database.write() as session:
        runs = session.scalars(expired.with_for_update(skip_locked=True)).all()
        for run in runs:
            attempts.land(lab, session, run, "lost", actor=ACTOR)
    lab.unsent.set()
    return len(runs)
