"""The training process, as a person and as a supervisor start it: real processes, killed and told to stop."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict

import pytest

from tests.worker.conftest import tiny_config
from worker.event_log import read_events
from worker.simclr.training.checkpoints import file_sha256
from worker.train import main, registered_checkpoints

TIMED = {"images_per_second"}
"""The only metrics and results that depend on the machine's mood."""


@pytest.fixture
def start():
    """Starts a training process; it is gone after the test."""
    with contextlib.ExitStack() as processes:

        def start_one(config, run_dir, pack, *options, stdin=None):
            command = map(str, [sys.executable, "-m", "worker.train", config, run_dir, "--data", pack, *options])
            process = subprocess.Popen(
                list(command), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield start_one


def wait_for(process, run_dir, condition, what):
    """Wait until ``condition(events)`` holds; fails where the process ends before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if condition(read_events(run_dir / "events.jsonl")):
            return
        assert process.poll() is None, f"ended before {what}: {process.stdout.read()}"
        time.sleep(0.01)
    raise AssertionError(f"no {what} within two minutes")


def metrics(events):
    """{(name, step): {value, ...}} over all attempts, without what depends on the machine's mood."""
    found = defaultdict(set)
    for event in events:
        if event.kind == "metrics":
            for name, value in event.values.items():
                if name not in TIMED:
                    found[name, event.step].add(value)
    return found


def kinds(events):
    return [event.kind for event in events]


def summary(events):
    """All results together, the later of two of the same name."""
    return {name: value for event in events if event.kind == "summary" for name, value in event.values.items()}


def reached(step):
    return lambda events: any(event.kind == "metrics" and event.step >= step for event in events)


LONG = {"training": {"epochs": 40, "checkpoint_every_epochs": 5}, "evaluation": {"knn_every_epochs": 5}}
"""160 steps with a checkpoint every 20."""


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def _signals():
    """``main`` takes over two signals; give them back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_run_killed_in_the_middle_ends_with_the_very_numbers_of_an_undisturbed_one(
    start, write_config, run_dir, tiny_pack, tmp_path
):
    config = write_config(**LONG)
    process = start(config, run_dir, tiny_pack)
    wait_for(process, run_dir, reached(25), "step 25")
    process.kill()
    process.wait()
    assert max(event.step for event in read_events(run_dir / "events.jsonl") if event.kind == "metrics") < 160

    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 0
    assert main([str(config), str(tmp_path / "undisturbed"), "--data", str(tiny_pack)]) == 0

    killed = read_events(run_dir / "events.jsonl")
    undisturbed = read_events(tmp_path / "undisturbed" / "events.jsonl")
    resumed_steps = [event.step for event in killed if event.kind == "metrics" and event.attempt == 2]
    assert resumed_steps[0] > 1, "it started again from nothing"
    assert metrics(killed) == metrics(undisturbed)
    assert all(len(values) == 1 for values in metrics(killed).values())
    expected = {name: value for name, value in summary(undisturbed).items() if name not in TIMED}
    assert {name: value for name, value in summary(killed).items() if name not in TIMED} == expected


def test_a_finished_run_leaves_metrics_at_every_step_a_summary_and_artifacts_of_the_announced_hash(
    write_config, run_dir, tiny_pack
):
    assert main([str(write_config()), str(run_dir), "--data", str(tiny_pack)]) == 0
    events = read_events(run_dir / "events.jsonl")

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.phase for event in events if event.kind == "phase"] == ["loading", "pretraining", "evaluating"]
    assert events[-1].kind == "end"
    assert events[-1].outcome == "succeeded"
    steps = set(range(1, 13))
    found = metrics(events)
    for name in ("loss", "contrastive_accuracy", "contrastive_entropy", "learning_rate"):
        assert {step for metric, step in found if metric == name} == steps
    assert {step for metric, step in found if metric == "knn_top1"} == {8, 12}
    assert [event.progress for event in events if event.kind == "progress"][-1] == 1
    results = summary(events)
    assert results["pack_sha256"] == tiny_pack.name
    assert results["steps"] == 12
    assert results["encoder_sha256_before_evaluation"] == results["encoder_sha256_after_evaluation"]
    assert results["probe_augmentation"] == "none"
    assert {"linear_top1", "untrained_linear_top1", "knn_top1", "untrained_knn_top1", "linear_l2"} <= results.keys()
    artifacts = {event.name: event for event in events if event.kind == "artifact"}
    written = {"encoder.safetensors", "config.json", "report.json", "evaluation.json", "predictions.json"}
    assert artifacts.keys() == written
    for name, event in artifacts.items():
        file = run_dir / "artifacts" / name
        assert (file_sha256(file), file.stat().st_size) == (event.sha256, event.size_bytes)


@pytest.mark.parametrize(("wish", "outcome"), [("stop", "stopped"), ("drain", "drained")])
def test_a_supervisor_that_says_stop_or_drain_gets_a_checkpoint_and_that_outcome(
    start, write_config, run_dir, tiny_pack, wish, outcome
):
    config = write_config(training={"epochs": 500})  # 2000 steps, of which every one is reported
    process = start(config, run_dir, tiny_pack, "--attempt", "3", "--supervised", stdin=subprocess.PIPE)
    wait_for(process, run_dir, reached(3), "step 3")
    process.send_signal(signal.SIGTERM)  # which is for the supervisor to heed
    process.stdin.write(f"{wish}\n")
    process.stdin.flush()
    assert process.wait(100) == 0
    events = read_events(run_dir / "events.jsonl")
    assert {event.attempt for event in events} == {3}
    assert events[-1].outcome == outcome
    assert events[-2].kind == "checkpoint"
    assert events[-2].step == max(event.step for event in events if event.kind == "metrics")
    assert file_sha256(run_dir / "checkpoints" / events[-2].name) == events[-2].sha256
    assert process.stdout.read() == ""


def test_a_training_process_does_not_outlive_its_supervisor(start, write_config, run_dir, tiny_pack):
    config = write_config(training={"epochs": 100_000})
    process = start(config, run_dir, tiny_pack, "--supervised", stdin=subprocess.PIPE)
    wait_for(process, run_dir, bool, "first event")
    process.stdin.close()
    assert process.wait(100) == 3
    assert "end" not in kinds(read_events(run_dir / "events.jsonl"))


def test_ctrl_c_stops_with_a_checkpoint_from_which_the_same_command_goes_on(start, write_config, run_dir, tiny_pack):
    config = write_config(**LONG)
    process = start(config, run_dir, tiny_pack)
    wait_for(process, run_dir, reached(3), "step 3")
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 0
    events = read_events(run_dir / "events.jsonl")
    assert events[-1].outcome == "stopped"
    assert "/160" in process.stdout.read()  # the progress bar
    stopped_at = events[-2].step

    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 0
    second = [event for event in read_events(run_dir / "events.jsonl") if event.attempt == 2]
    assert next(event.step for event in second if event.kind == "metrics") == stopped_at + 1
    assert second[-1].outcome == "succeeded"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(write_config, run_dir, tiny_pack):
    config = write_config(evaluation={"knn_every_epochs": 0})
    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 0
    newest, before = registered_checkpoints(run_dir / "events.jsonl")[:2]
    assert (newest[0], before[0]) == ("ck-12-a1", "ck-8-a1")
    file = run_dir / "checkpoints" / newest[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 0
    second = [event for event in read_events(run_dir / "events.jsonl") if event.attempt == 2]
    assert next(event.step for event in second if event.kind == "metrics") == 9
    assert any(event.kind == "log" and "ck-12-a1 is missing or damaged" in event.message for event in second)


def test_a_run_resumes_itself_only(write_config, run_dir, tiny_pack, tmp_path, capsys):
    assert main([str(write_config()), str(run_dir), "--data", str(tiny_pack)]) == 0
    warmer = write_config(loss={"temperature": 0.7})

    assert main([str(warmer), str(run_dir), "--data", str(tiny_pack)]) == 2
    assert "holds a run of another config" in capsys.readouterr().err

    other_dir = tmp_path / "other"
    other_dir.mkdir()
    (other_dir / "checkpoints").symlink_to(run_dir / "checkpoints")
    candidate = ":".join(registered_checkpoints(run_dir / "events.jsonl")[0])
    assert main([str(warmer), str(other_dir), "--data", str(tiny_pack), "--resume", candidate]) == 0
    events = read_events(other_dir / "events.jsonl")
    assert next(event.step for event in events if event.kind == "metrics") == 1
    assert any(event.kind == "log" and "of another config" in event.message for event in events)


def test_a_failure_is_told_in_a_sentence_with_the_traceback_in_the_log(write_config, run_dir, tiny_pack, capsys):
    config = write_config(training={"batch_size": 65})
    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 1
    events = read_events(run_dir / "events.jsonl")
    assert events[-1].outcome == "failed"
    assert events[-1].error == "training.batch_size: is 65, more than the 64 training images of 'tiny'."
    assert any(event.kind == "log" and "Traceback" in event.message for event in events)
    assert events[-1].error in capsys.readouterr().err


def test_a_diverging_run_fails_with_the_step_and_what_to_change(write_config, run_dir, tiny_pack):
    config = write_config(
        optimizer={"learning_rate": 1000, "lr_scaling": "none", "warmup_epochs": 0, "weight_decay": 1}
    )
    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 1
    error = read_events(run_dir / "events.jsonl")[-1].error
    assert error.startswith("The loss became")
    assert "optimizer.learning_rate" in error


def test_a_torn_last_line_is_ended_before_the_next_attempt_writes(write_config, run_dir, tiny_pack):
    config = write_config()
    run_dir.mkdir()
    (run_dir / "events.jsonl").write_bytes(b'{"attempt":1,"seq":1,"ti')
    assert main([str(config), str(run_dir), "--data", str(tiny_pack)]) == 0
    torn, *lines = (run_dir / "events.jsonl").read_bytes().splitlines()
    assert torn == b'{"attempt":1,"seq":1,"ti'
    assert all(json.loads(line)["attempt"] == 1 for line in lines)


def test_a_config_that_is_none_is_refused_before_a_run_directory_is_made(tmp_path, run_dir, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny_config(training={"epoch": 3})))
    assert main([str(file), str(run_dir)]) == 2
    assert capsys.readouterr().err == f"{file}: training.epoch: Extra inputs are not permitted\n"
    file.write_text("{")
    assert main([str(file), str(run_dir)]) == 2
    assert "Invalid JSON" in capsys.readouterr().err
    assert main([str(tmp_path / "none.json"), str(run_dir)]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.json'}: No such file or directory\n"
    assert not run_dir.exists()
