"""The states of a run: which moves are legal, and that each is one conditional UPDATE."""

import itertools
from typing import get_args

import pytest
from sqlalchemy import update

from backend.contracts.runs import ENDED, RunCreate, RunState
from backend.db.models import Run
from backend.services import runs, states
from backend.services.lab import Lab

STATES: tuple[RunState, ...] = get_args(RunState)
LEGAL = {
    "queued": {"running", "stopped"},
    "running": {"succeeded", "failed", "stopped", "stopping", "queued"},
    "stopping": {"stopped", "succeeded"},
    "succeeded": {"queued"},
    "failed": {"queued"},
    "stopped": {"queued"},
}
MOVES = list(itertools.product(STATES, STATES))


def put_in(lab: Lab, run_id: str, state: RunState) -> None:
    with lab.database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(state=state))


def test_every_legal_move_happens_and_every_other_one_is_refused(lab: Lab) -> None:
    run_id = runs.launch(lab, RunCreate()).id
    for source, target in MOVES:
        put_in(lab, run_id, source)
        with lab.database.write() as session:
            if target in LEGAL[source]:
                moved = states.move(session, run_id, source, target, actor="test", reason="because")
                assert moved is not None
                assert moved.state == target
            else:
                with pytest.raises(ValueError, match=f"from {source} to {target}"):
                    states.move(session, run_id, source, target, actor="test", reason="because")
        expected = target if target in LEGAL[source] else source
        assert runs.read(lab, run_id).state == expected


@pytest.mark.parametrize("actual", STATES)
def test_a_run_in_another_state_is_left_alone(lab: Lab, actual: RunState) -> None:
    run_id = runs.launch(lab, RunCreate()).id
    put_in(lab, run_id, actual)
    history = runs.transitions(lab, run_id)
    for source, targets in LEGAL.items():
        for target in targets if source != actual else ():
            with lab.database.write() as session:
                assert states.move(session, run_id, source, target, actor="test", reason="late") is None
    assert runs.read(lab, run_id).state == actual
    assert runs.transitions(lab, run_id) == history


def test_every_move_is_recorded_with_time_actor_and_reason(lab: Lab) -> None:
    run_id = runs.launch(lab, RunCreate()).id
    with lab.database.write() as session:
        states.move(session, run_id, "queued", "stopped", actor="ann", reason="no more need")
    launched, stopped = runs.transitions(lab, run_id)
    assert (launched.from_state, launched.to_state, launched.actor) == (None, "queued", "user")
    assert (stopped.from_state, stopped.to_state) == ("queued", "stopped")
    assert (stopped.actor, stopped.reason) == ("ann", "no more need")
    assert stopped.time >= launched.time


def test_a_run_has_a_finishing_time_exactly_while_it_has_ended(lab: Lab) -> None:
    run_id = runs.launch(lab, RunCreate()).id
    for source, target in MOVES:
        if target in LEGAL[source]:
            put_in(lab, run_id, source)
            with lab.database.write() as session:
                states.move(session, run_id, source, target, actor="test", reason="because")
            if target in ENDED:
                assert runs.read(lab, run_id).finished_at is not None
            if target == "queued":
                assert runs.read(lab, run_id).finished_at is None
