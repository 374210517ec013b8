"""Resuming a run that has ended, as it was or with changes."""

from typing import Any

import httpx
import pytest
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.changes import RunChanges
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import AttemptEnd, RunCreate
from backend.db.models import Run
from backend.services.lab import Lab
from tests.backend.events import batch, event
from tests.backend.marks import on_one_database
from tests.claiming import claim

SUMMARY = {"linear_top1": 0.6, "loss": 3.0, "untrained_linear_top1": 0.3, "untrained_knn_top1": 0.2}


def ended(client: Client, outcome: str = "stopped", config: dict[str, Any] | None = None, **end: Any) -> str:
    """A run of 30 epochs that wrote results and a checkpoint, and ended so."""
    run_id = client.launch_run(RunCreate.model_validate({"config": config or {}})).id
    claim(client, run_id)
    checkpoint = event("checkpoint", 1, name="ck-570-a1", step=570, sha256="a" * 64, size_bytes=9)
    progress = event("progress", 2, step=570, total_steps=570, progress=0.9)
    client.post_events(run_id, batch(checkpoint, progress, event("summary", 3, values=SUMMARY)))
    client.end_attempt(run_id, AttemptEnd.model_validate({"attempt": 1, "outcome": outcome} | end))
    return run_id


def refusal(client: Client, run_id: str, changes: RunChanges | None = None) -> tuple[int, list[str]]:
    with pytest.raises(ApiError) as error:
        client.resume_run(run_id, changes)
    return error.value.status, [one.field for one in error.value.problem.errors]


@pytest.mark.parametrize("outcome", ["stopped", "failed"])
def test_a_stopped_or_failed_run_goes_on_as_it_was(client: Client, outcome: str) -> None:
    run_id = ended(client, outcome, error="why", remedy={"micro_batch_size": 8} if outcome == "failed" else None)
    before = client.run(run_id)
    run = client.resume_run(run_id)
    assert (run.state, run.error, run.remedy, run.attempts, run.finished_at) == ("queued", None, None, 1, None)
    assert (run.config, run.summary, run.step) == (before.config, SUMMARY, 570)
    again = claim(client, run_id)
    assert (again.attempt, [one.name for one in again.checkpoints]) == (2, ["ck-570-a1"])


@on_one_database
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_the_body_may_be_left_out(client: Client, http: httpx.Client, body: bytes) -> None:
    run_id = ended(client)
    answer = http.post(f"/runs/{run_id}/resume", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


@pytest.mark.parametrize("outcome", ["stopped", "failed", "succeeded"])
def test_with_more_epochs_it_trains_on_and_results_that_are_no_longer_true_are_gone(
    client: Client, outcome: str
) -> None:
    run_id = ended(client, outcome)
    run = client.resume_run(run_id, RunChanges(epochs=45))
    assert (run.state, run.config.training.epochs) == ("queued", 45)
    assert run.summary == {"untrained_linear_top1": 0.3, "untrained_knn_top1": 0.2}
    assert (run.step, run.total_steps, run.epoch) == (570, 855, 30)
    assert run.config == ExperimentConfig.model_validate({"training": {"epochs": 45}})
    assert client.transitions(run_id)[-1].reason == "resumed at step 570 with epochs 45"
    assert claim(client, run_id).config.training.epochs == 45


def test_epochs_are_only_added(client: Client) -> None:
    stopped, succeeded = ended(client), ended(client, "succeeded")
    assert refusal(client, stopped, RunChanges(epochs=29)) == (422, ["epochs"])
    assert refusal(client, succeeded, RunChanges(epochs=30)) == (422, ["epochs"])
    assert client.run(succeeded).summary == SUMMARY
    kept = client.resume_run(stopped, RunChanges(epochs=30))
    assert (kept.config.training.epochs, kept.summary) == (30, SUMMARY)


def test_a_run_that_has_succeeded_is_resumed_with_more_epochs_only(client: Client) -> None:
    run_id = ended(client, "succeeded")
    assert refusal(client, run_id) == (409, [])
    assert refusal(client, run_id, RunChanges(micro_batch_size=64)) == (409, [])
    assert client.run(run_id).state == "succeeded"


def test_a_run_that_has_not_ended_cannot_be_resumed(client: Client) -> None:
    queued, running = client.launch_run(RunCreate()).id, client.launch_run(RunCreate()).id
    claim(client, running)
    for run_id in (queued, running):
        assert refusal(client, run_id, RunChanges(epochs=99)) == (409, [])


def test_a_smaller_micro_batch_is_the_only_change_and_keeps_the_results(client: Client) -> None:
    run_id = ended(client, "failed", error="out of GPU memory", remedy={"micro_batch_size": 64})
    remedy = client.run(run_id).remedy
    assert remedy == RunChanges(micro_batch_size=64)
    run = client.resume_run(run_id, remedy)
    assert run.config == ExperimentConfig.model_validate({"training": {"micro_batch_size": 64}})
    assert run.summary == SUMMARY


@pytest.mark.parametrize("size", [7, 1])
def test_a_micro_batch_that_cannot_work_is_named(client: Client, size: int) -> None:
    run_id = ended(client)
    assert refusal(client, run_id, RunChanges(micro_batch_size=size)) == (422, ["micro_batch_size"])
    assert client.run(run_id).state == "stopped"


@on_one_database
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 100_001}, "epochs"),
        ({"micro_batch_size": "half"}, "micro_batch_size"),
        ({"micro_batch_size": 0}, "micro_batch_size"),
        ({"micro_batch_size": 100_000}, "micro_batch_size"),
        ({"seed": 1}, "seed"),
    ],
)
def test_other_changes_are_refused(client: Client, http: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = http.post(f"/runs/{ended(client)}/resume", json=body)
    assert answer.status_code == 422
    assert {error["field"].split(".")[0] for error in answer.json()["errors"]} == {field}


def test_earlier_crashes_are_forgotten(client: Client, lab: Lab) -> None:
    run_id = ended(client, "failed")
    with lab.database.write() as session:
        session.execute(update(Run).values(failures=lab.settings.max_attempts - 1))
    client.resume_run(run_id, RunChanges(epochs=31))
    claim(client, run_id)
    assert client.end_attempt(run_id, AttemptEnd(attempt=2, outcome="crashed")).state == "queued"
