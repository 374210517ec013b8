"""The fence: what a stale attempt writes is refused, whatever it writes and whoever has the run now.

Comparing metrics could not show it, as a stale attempt computes the very numbers of the current one; so the refusal is
tested itself, and ``test_fence_mutations`` shows that these tests fail when the check is gone.
"""

from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.contracts.runs import AttemptEnd, RunCreate
from backend.db.models import Run
from backend.db.types import utc_now
from backend.services import artifacts, attempts, metrics, runs, states
from backend.services.errors import LeaseLostError
from backend.services.lab import Lab
from tests.backend.events import batch, loss

STALE, CURRENT = 1, 2


@pytest.fixture
def run_id(lab: Lab) -> str:
    """A run whose second attempt is at work."""
    run_id = runs.launch(lab, RunCreate()).id
    with lab.database.write() as session:
        session.execute(
            update(Run).values(
                state="running",
                attempts=CURRENT,
                worker_id="worker-2",
                lease_expires_at=utc_now() + timedelta(minutes=1),
            )
        )
    return run_id


def test_a_stale_attempt_can_neither_write_nor_end(lab: Lab, run_id: str) -> None:
    with pytest.raises(LeaseLostError, match="Attempt 1 has lost the run: it is running at attempt 2"):
        attempts.post_events(lab, run_id, batch(loss(1, 1, 99.0), attempt=STALE))
    with pytest.raises(LeaseLostError):
        artifacts.open_artifact(lab, run_id, STALE)
    with pytest.raises(LeaseLostError):
        attempts.end(lab, run_id, AttemptEnd(attempt=STALE, outcome="succeeded"))
    assert metrics.series(lab, run_id) == []
    assert runs.read(lab, run_id).state == "running"

    attempts.post_events(lab, run_id, batch(loss(1, 1, 1.0, attempt=CURRENT), attempt=CURRENT))
    assert attempts.end(lab, run_id, AttemptEnd(attempt=CURRENT, outcome="succeeded")).state == "succeeded"


def test_a_stale_attempt_cannot_move_its_run(lab: Lab, run_id: str) -> None:
    def move(attempt: int) -> Run | None:
        with lab.database.write() as session:
            return states.move(session, run_id, "running", "queued", actor="w", reason="drained", attempt=attempt)

    assert move(STALE) is None, "a stale attempt has moved its run"
    assert move(CURRENT) is not None
