"""A run of two processes under torchrun: one log, the numbers of one process, stopped and killed as one."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.worker.test_train import LONG, metrics, reached, summary, wait_for
from worker.event_log import read_events
from worker.train import main
from worker.trainer import COMMAND, TORCHRUN, of_team


@pytest.fixture
def start_team(tiny_pack):
    """Starts a training of two processes; nothing of it is left after the test."""
    started = []

    def start_one(config, run_dir, *options, stdin=None):
        process = subprocess.Popen(
            [*of_team(COMMAND, 2), str(config), str(run_dir), "--data", str(tiny_pack), *options],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        for one in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            one.kill()
        process.kill()
        process.communicate()


def test_one_gpu_needs_no_torchrun():
    assert of_team(COMMAND, 1) == of_team(COMMAND, 0) == list(COMMAND)
    assert of_team(COMMAND, 4) == [*TORCHRUN, "4", "-m", "worker.train"]
    assert COMMAND[0] == sys.executable


def test_two_processes_write_one_log_with_the_numbers_of_one_process(start_team, write_config, tiny_pack, tmp_path):
    config = write_config(training={"epochs": 1}, evaluation={"knn_every_epochs": 0})
    assert main([str(config), str(tmp_path / "one"), "--data", str(tiny_pack)]) == 0
    team = start_team(config, tmp_path / "two")
    output = team.communicate(timeout=200)[0]
    assert team.returncode == 0, output
    one, two = (read_events(tmp_path / name / "events.jsonl") for name in ("one", "two"))
    assert [event.seq for event in two] == list(range(1, len(two) + 1))
    alone, together = metrics(one), metrics(two)
    assert alone.keys() == together.keys()
    for name in ("loss", "contrastive_entropy", "learning_rate"):
        assert [*together[name, 1]] == pytest.approx([*alone[name, 1]], rel=1e-4)
    assert summary(two)["steps"] == summary(one)["steps"] == 4
    assert summary(two)["test_images"] == 24


def test_a_team_stops_together_with_a_checkpoint_and_goes_on_from_it(start_team, write_config, tmp_path):
    config, run_dir = write_config(**LONG), tmp_path / "run"
    team = start_team(config, run_dir, "--supervised", stdin=subprocess.PIPE)
    wait_for(team, run_dir, reached(30), "step 30")
    team.stdin.write("stop\n")
    team.stdin.flush()
    assert team.wait(timeout=60) == 0
    stopped = read_events(run_dir / "events.jsonl")
    assert (stopped[-1].kind, stopped[-1].outcome) == ("end", "stopped")
    at = next(event.step for event in reversed(stopped) if event.kind == "checkpoint")
    again = start_team(config, run_dir)
    assert again.wait(timeout=200) == 0
    events = read_events(run_dir / "events.jsonl")
    steps = sorted(event.step for event in events if event.kind == "metrics" and "loss" in event.values)
    assert steps == list(range(1, 161)), [event.message for event in events if event.kind == "log"]
    assert min(e.step for e in events if e.kind == "metrics" and e.attempt == 2) >= at


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of standard input has to do")
def test_no_process_outlives_a_killed_torchrun(start_team, write_config, tmp_path):
    run_dir = tmp_path / "run"
    team = start_team(write_config(**LONG), run_dir, "--supervised", stdin=subprocess.PIPE)
    wait_for(team, run_dir, reached(5), "step 5")
    ranks = psutil.Process(team.pid).children(recursive=True)
    assert len(ranks) == 2
    os.kill(team.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks):
        assert time.monotonic() < deadline, "a rank goes on without torchrun"
        time.sleep(0.05)
