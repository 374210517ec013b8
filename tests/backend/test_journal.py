"""What training reports beside metrics and logs."""

import pytest

from backend.client import Client
from backend.contracts.runs import AttemptEnd, RunCreate
from tests.backend.events import batch, event
from tests.claiming import claim


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def test_a_run_shows_what_its_last_attempt_runs_on(client: Client, run_id: str) -> None:
    assert client.run(run_id).environment is None

    def environment(attempt: int, gpu: str):
        values = {"git_commit": "abc", "packages": {"torch": "2.11"}, "hardware": {"gpu": gpu, "gpus": 2}}
        return batch(event("environment", 1, attempt=attempt, **values), attempt=attempt)

    client.post_events(run_id, environment(1, "H100"))
    found = client.run(run_id).environment
    assert found is not None
    assert (found.git_commit, found.packages) == ("abc", {"torch": "2.11"})
    assert found.hardware == {"gpu": "H100", "gpus": 2}
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="drained"))
    claim(client, run_id, "worker-2")
    client.post_events(run_id, environment(2, "H200"))
    found = client.run(run_id).environment
    assert found is not None
    assert found.hardware["gpu"] == "H200"


def test_progress_shows_as_steps_and_epochs(client: Client, run_id: str) -> None:
    run = client.run(run_id)
    assert (run.step, run.total_steps, run.epoch) == (None, None, None)
    client.post_events(run_id, batch(event("progress", 1, step=30, total_steps=120, progress=0.2, eta_seconds=7.5)))
    run = client.run(run_id)
    assert (run.step, run.total_steps, run.progress, run.eta_seconds) == (30, 120, 0.2, 7.5)
    assert run.epoch == run.config.training.epochs / 4


def test_a_checkpoint_is_registered_with_what_came_before_it(client: Client, run_id: str) -> None:
    checkpoint = event("checkpoint", 2, name="ck-1-a1", step=1, sha256="0" * 64, size_bytes=1)
    client.post_events(run_id, batch(event("metrics", 1, step=1, epoch=0.1, values={"loss": 1.0}), checkpoint))
    assert [one.step for one in client.checkpoints(run_id)] == [1]
    assert client.metrics(run_id)[0].steps == [1]
