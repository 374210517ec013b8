"""Whatever is killed in the middle of a run, it ends with the very numbers of an undisturbed one."""

import base64
import time

import psutil
import pytest

from backend.client import ApiError
from backend.contracts.previews import ViewsRequest
from backend.contracts.runs import EventBatch, RunRead
from tests.system.conftest import RunningLab, busyness, more_workers, tiny_config, wait_until
from tests.system.outcome import results

EPOCHS = 60
STEPS = 4 * EPOCHS


@pytest.fixture(scope="module")
def undisturbed(lab: RunningLab) -> RunRead:
    return succeed(lab, lab.launch(tiny_config(epochs=EPOCHS)))


def succeed(lab: RunningLab, run_id: str) -> RunRead:
    run = lab.wait_for_end(run_id)
    assert run.state == "succeeded", run.error
    return run


def reasons(lab: RunningLab, run_id: str) -> list[str]:
    return [move.reason for move in lab.client.transitions(run_id)]


def assert_same_numbers(lab: RunningLab, run: RunRead, undisturbed: RunRead) -> None:
    metrics = lab.metrics(run.id)
    for name, points in metrics.items():
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps)), f"a step of {name} is doubled"
    assert metrics == lab.metrics(undisturbed.id)
    assert results(run) == results(undisturbed)


def test_an_undisturbed_run_needs_one_attempt_and_leaves_its_files(lab: RunningLab, undisturbed: RunRead):
    assert undisturbed.attempts == 1
    assert lab.metrics(undisturbed.id)["loss"][-1][0] == STEPS
    assert {artifact.name for artifact in lab.client.artifacts(undisturbed.id)} == {
        "config.json",
        "encoder.safetensors",
        "report.json",
        "evaluation.json",
        "predictions.json",
    }


def test_kill_9_of_broker_trainer_pool_process_and_worker(lab: RunningLab, undisturbed: RunRead):
    run_id = lab.launch(tiny_config(epochs=EPOCHS))
    behind = lab.launch(tiny_config(epochs=1))

    lab.wait_for_step(run_id, 20)
    lab.broker().kill()
    lab.wait_for_step(run_id, 60)
    assert lab.client.run(run_id).attempts == 1, "without the broker a run goes on"

    for attempt, (victim, step) in enumerate([(lab.trainer, 100), (lab.pool_process, 140), (lab.worker, 180)], start=2):
        trainer = lab.trainer()
        victim().kill()
        trainer.wait(timeout=5)  # it does not outlive its supervisor
        lab.wait_for_step(run_id, step)
        assert lab.client.run(run_id).attempts == attempt

    assert_same_numbers(lab, succeed(lab, run_id), undisturbed)
    succeed(lab, behind)


def test_stop_and_resume(lab: RunningLab, undisturbed: RunRead):
    run_id = lab.launch(tiny_config(epochs=EPOCHS))
    lab.wait_for_step(run_id, 60)
    asked = time.monotonic()
    lab.client.stop_run(run_id)
    stopped = lab.wait_for_state(run_id, "stopped", "succeeded")
    assert stopped.state == "stopped"
    assert time.monotonic() - asked < 3 * busyness()
    lab.client.resume_run(run_id)
    assert_same_numbers(lab, succeed(lab, run_id), undisturbed)


def test_a_preview_is_answered_while_a_run_trains(lab: RunningLab):
    run_id = lab.launch(tiny_config(epochs=1000))
    lab.wait_for_step(run_id, 1)
    preview = lab.client.preview_views(ViewsRequest(config=tiny_config(epochs=1), images=4, step=2))
    assert lab.client.run(run_id).state == "running"
    assert preview.error is None
    assert len(preview.items) == 4
    assert {item.label for item in preview.items} <= {"blue", "red"}
    assert all(base64.b64decode(item.view1_png).startswith(b"\x89PNG") for item in preview.items)

    lab.client.stop_run(run_id)
    assert lab.wait_for_end(run_id).state == "stopped"


def test_a_worker_that_was_stopped_past_its_lease_is_refused_when_it_goes_on(lab: RunningLab, undisturbed: RunRead):
    run_id = lab.launch(tiny_config(epochs=EPOCHS))
    lab.wait_for_step(run_id, 20)
    supervisor, trainer = lab.pool_process(), lab.trainer()
    for process in (supervisor, trainer):
        process.suspend()
    with more_workers(lab, 1):
        wait_until(lambda: lab.client.run(run_id).attempts == 2, "another worker has the run")
        with pytest.raises(ApiError) as refused:
            lab.client.post_events(run_id, EventBatch(attempt=1, events=[]))
        assert refused.value.status == 409
        for process in (trainer, supervisor):
            process.resume()
        wait_until(lambda: not is_running(trainer), "the stale trainer is killed", seconds=10)
        assert_same_numbers(lab, succeed(lab, run_id), undisturbed)
    assert "lost the lease" in lab.log.read_text()


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
