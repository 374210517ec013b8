"""The worker's side of a run: leases, numbered events, and what the end of an attempt leads to."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.contracts.changes import RunChanges
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, RunCreate, RunState
from backend.db.models import Run
from backend.db.types import utc_now
from backend.services import attempts, logs, metrics, resuming, run_queue, runs, scheduling, workers
from backend.services.errors import InvalidError, LeaseLostError
from backend.services.lab import Lab
from backend.services.reconcile import expire_leases
from tests.backend.events import batch, event, loss
from tests.examples import a_beat


def launch(lab: Lab) -> str:
    return runs.launch(lab, RunCreate()).id


def claim(lab: Lab, run_id: str, worker_id: str = "worker-1") -> Claim:
    """Claim the run, which is next, for a worker with room."""
    workers.beat(lab, a_beat(worker_id, slots_per_gpu=64))
    claimed = scheduling.claim(lab, ClaimRequest(worker_id=worker_id))
    assert claimed is not None
    assert claimed.run_id == run_id
    return claimed


def launch_and_claim(lab: Lab) -> str:
    run_id = launch(lab)
    claim(lab, run_id)
    return run_id


def end_lease(lab: Lab, run_id: str) -> None:
    with lab.database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(lease_expires_at=utc_now() - timedelta(seconds=1)))
    assert expire_leases(lab) == 1


def checkpoint(seq: int, step: int, *, attempt: int = 1):
    name = f"ck-{step}-a{attempt}"
    return event("checkpoint", seq, attempt=attempt, name=name, step=step, sha256=f"{step:064x}", size_bytes=10)


def test_a_claim_hands_out_config_lease_and_the_newest_checkpoints_first(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    attempts.post_events(lab, run_id, batch(checkpoint(1, 10), checkpoint(2, 20)))
    attempts.end(lab, run_id, AttemptEnd(attempt=1, outcome="drained"))
    claimed = claim(lab, run_id)
    assert claimed.attempt == 2
    assert claimed.config == RunCreate().config
    assert claimed.lease_seconds == lab.settings.lease_seconds
    assert [(c.name, c.step, c.sha256) for c in claimed.checkpoints] == [
        ("ck-20-a1", 20, f"{20:064x}"),
        ("ck-10-a1", 10, f"{10:064x}"),
    ]


def test_a_worker_that_lost_its_lease_is_refused_in_everything(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    end_lease(lab, run_id)
    claim(lab, run_id, "worker-2")
    stale = batch(loss(1, 1, 99.0))
    with pytest.raises(LeaseLostError, match="attempt 2"):
        attempts.post_events(lab, run_id, stale)
    with pytest.raises(LeaseLostError):
        attempts.end(lab, run_id, AttemptEnd(attempt=1, outcome="succeeded"))
    assert metrics.series(lab, run_id) == []
    assert runs.read(lab, run_id).state == "running"
    attempts.post_events(lab, run_id, batch(loss(1, 1, 1.0, attempt=2), attempt=2))
    assert metrics.series(lab, run_id)[0].values == [1.0]


def test_repeated_events_are_ignored_and_new_ones_behind_them_are_stored(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    log = event("log", 2, message="hello")
    assert attempts.post_events(lab, run_id, batch(loss(1, 1), log)).last_seq == 2
    assert attempts.post_events(lab, run_id, batch(loss(1, 1, 7.0), log, loss(3, 2))).last_seq == 3
    (series,) = metrics.series(lab, run_id)
    assert (series.steps, series.values) == ([1, 2], [5.0, 5.0])
    assert len(logs.lines(lab, run_id)) == 1


@pytest.mark.parametrize("events", [(2,), (1, 3), (1, 2, 2)])
def test_a_gap_in_the_numbers_is_refused_and_nothing_of_the_batch_is_stored(lab: Lab, events: tuple[int, ...]) -> None:
    run_id = launch_and_claim(lab)
    with pytest.raises(InvalidError, match="must come next"):
        attempts.post_events(lab, run_id, batch(*(loss(seq, seq) for seq in events)))
    assert metrics.series(lab, run_id) == []
    assert attempts.post_events(lab, run_id, batch()).last_seq == 0


def test_an_event_of_another_attempt_within_a_batch_is_refused(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    with pytest.raises(InvalidError, match="attempt 2"):
        attempts.post_events(lab, run_id, EventBatch(attempt=1, events=[loss(1, 1, attempt=2)]))


def test_a_step_measured_again_by_a_later_attempt_stands_there_once(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    attempts.post_events(lab, run_id, batch(loss(1, 1, 4.0), loss(2, 2, 3.0)))
    end_lease(lab, run_id)
    claim(lab, run_id)
    attempts.post_events(lab, run_id, batch(loss(1, 2, 3.5, attempt=2), loss(2, 3, 2.0, attempt=2), attempt=2))
    (series,) = metrics.series(lab, run_id)
    assert (series.steps, series.values) == ([1, 2, 3], [4.0, 3.5, 2.0])


def test_events_show_in_the_run(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    attempts.post_events(
        lab,
        run_id,
        batch(
            event("phase", 1, phase="evaluating"),
            event("progress", 2, step=9, total_steps=10, progress=0.9, eta_seconds=3.5),
            event("summary", 3, values={"linear_top1": 0.5, "device": "CPU"}),
            event("summary", 4, values={"linear_top1": 0.6}),
        ),
    )
    run = runs.read(lab, run_id)
    assert (run.phase, run.progress, run.eta_seconds) == ("evaluating", 0.9, 3.5)
    assert run.summary == {"linear_top1": 0.6, "device": "CPU"}


def test_a_lost_lease_queues_the_run_for_its_next_attempt_and_fails_it_in_the_end(lab: Lab) -> None:
    run_id = launch(lab)
    for attempt in range(1, lab.settings.max_attempts + 1):
        assert claim(lab, run_id).attempt == attempt
        end_lease(lab, run_id)
        expected = "failed" if attempt == lab.settings.max_attempts else "queued"
        assert runs.read(lab, run_id).state == expected
    assert "Resume" in (runs.read(lab, run_id).error or "")


def test_a_lease_is_renewed_by_every_post(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    with lab.database.write() as session:
        session.execute(update(Run).values(lease_expires_at=utc_now() - timedelta(seconds=1)))
    attempts.post_events(lab, run_id, batch())
    assert expire_leases(lab) == 0
    assert runs.read(lab, run_id).state == "running"


def test_draining_does_not_count_as_a_failure(lab: Lab) -> None:
    run_id = launch(lab)
    for attempt in range(1, 2 * lab.settings.max_attempts):
        claim(lab, run_id)
        assert attempts.end(lab, run_id, AttemptEnd(attempt=attempt, outcome="drained")).state == "queued"


def test_a_full_disk_does_not_count_as_a_failure_and_its_worker_gets_nothing_until_it_beats_anew(lab: Lab) -> None:
    run_id = launch(lab)
    for attempt in range(1, 2 * lab.settings.max_attempts):
        claim(lab, run_id)
        assert attempts.end(lab, run_id, AttemptEnd(attempt=attempt, outcome="no_space")).state == "queued"
        assert scheduling.claim(lab, ClaimRequest(worker_id="worker-1")) is None


def test_a_drained_attempt_gives_its_run_back_to_its_old_place_and_says_who_and_why(lab: Lab) -> None:
    run_id, other = launch_and_claim(lab), launch(lab)
    assert attempts.post_events(lab, run_id, batch()).wish == "go_on"
    workers.drain(lab, "worker-1", draining=True)
    assert attempts.post_events(lab, run_id, batch()).wish == "drain"
    attempts.end(lab, run_id, AttemptEnd(attempt=1, outcome="drained"))
    move = runs.transitions(lab, run_id)[-1]
    assert (move.actor, move.from_state, move.to_state) == ("worker-1", "running", "queued")
    assert "drained" in move.reason
    assert [run.id for run in run_queue.listed(lab)] == [run_id, other]
    assert scheduling.claim(lab, ClaimRequest(worker_id="worker-1")) is None
    assert claim(lab, run_id, "worker-2").attempt == 2


def test_a_stop_is_heard_before_a_drain(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    workers.drain(lab, "worker-1", draining=True)
    runs.stop(lab, run_id)
    assert attempts.post_events(lab, run_id, batch()).wish == "stop"


def test_a_worker_that_beats_stays_drained_until_it_is_told_to_take_runs_again(lab: Lab) -> None:
    run_id = launch(lab)
    workers.beat(lab, a_beat("worker-1"))
    workers.drain(lab, "worker-1", draining=True)
    workers.beat(lab, a_beat("worker-1"))
    assert scheduling.claim(lab, ClaimRequest(worker_id="worker-1")) is None
    workers.drain(lab, "worker-1", draining=False)
    claim(lab, run_id)


def test_a_failed_run_keeps_what_would_help_until_it_is_resumed(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    remedy = RunChanges(micro_batch_size=64)
    attempts.end(lab, run_id, AttemptEnd(attempt=1, outcome="failed", error="out of memory", remedy=remedy))
    assert runs.read(lab, run_id).remedy == remedy
    resumed = resuming.resume(lab, run_id, remedy)
    assert (resumed.remedy, resumed.error, resumed.config.training.micro_batch_size) == (None, None, 64)


def test_a_resume_gives_all_attempts_back(lab: Lab) -> None:
    run_id = launch(lab)
    for _ in range(lab.settings.max_attempts):
        claim(lab, run_id)
        end_lease(lab, run_id)
    assert resuming.resume(lab, run_id, RunChanges()).error is None
    claim(lab, run_id)
    end_lease(lab, run_id)
    assert runs.read(lab, run_id).state == "queued"


def test_a_run_that_gets_on_between_its_crashes_never_runs_out_of_attempts(lab: Lab) -> None:
    run_id = launch(lab)
    for attempt in range(1, 3 * lab.settings.max_attempts):
        claim(lab, run_id)
        attempts.post_events(lab, run_id, batch(checkpoint(1, 10 * attempt, attempt=attempt), attempt=attempt))
        end_lease(lab, run_id)
        assert runs.read(lab, run_id).state == "queued"


def test_a_run_that_saves_the_same_step_again_and_again_does_not_get_on(lab: Lab) -> None:
    run_id = launch(lab)
    for attempt in range(1, lab.settings.max_attempts + 2):
        assert runs.read(lab, run_id).state == "queued"
        claim(lab, run_id)
        attempts.post_events(lab, run_id, batch(checkpoint(1, 10, attempt=attempt), attempt=attempt))
        end_lease(lab, run_id)
        if runs.read(lab, run_id).state == "failed":
            break
    assert runs.read(lab, run_id).attempts == lab.settings.max_attempts


@pytest.mark.parametrize(
    ("outcome", "state", "while_stopping"),
    [
        ("succeeded", "succeeded", "succeeded"),
        ("failed", "failed", "stopped"),
        ("stopped", "stopped", "stopped"),
        ("drained", "queued", "stopped"),
        ("no_space", "queued", "stopped"),
        ("crashed", "queued", "stopped"),
    ],
)
def test_where_each_outcome_leads(lab: Lab, outcome: str, state: RunState, while_stopping: RunState) -> None:
    running, stopping = launch_and_claim(lab), launch_and_claim(lab)
    assert runs.stop(lab, stopping).state == "stopping"
    assert attempts.post_events(lab, stopping, batch()).wish == "stop"
    end = AttemptEnd.model_validate({"attempt": 1, "outcome": outcome, "error": None})
    assert attempts.end(lab, running, end).state == state
    assert attempts.end(lab, stopping, end).state == while_stopping


def test_the_worker_of_a_stopping_run_is_lost_and_the_run_is_stopped(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    runs.stop(lab, run_id)
    end_lease(lab, run_id)
    assert runs.read(lab, run_id).state == "stopped"


def test_a_failed_run_tells_why(lab: Lab) -> None:
    run_id = launch_and_claim(lab)
    attempts.end(lab, run_id, AttemptEnd(attempt=1, outcome="failed", error="the loss is NaN"))
    assert runs.read(lab, run_id).error == "the loss is NaN"
