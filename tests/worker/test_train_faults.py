"""What befalls a training process: killed while it saves, a full disk, too little memory, numbers without end."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.worker import disturbed
from tests.worker.conftest import tiny_config
from tests.worker.test_train import TIMED, metrics, summary
from worker.event_log import read_events
from worker.simclr.nets.model import SimCLR
from worker.simclr.training.checkpoints import file_sha256
from worker.train import main, registered_checkpoints
from worker.training_process import NO_SPACE, TrainingProcess

CONFIG = {"evaluation": {"knn_every_epochs": 0, "linear": False}}
"""12 steps with a checkpoint every 4."""


@pytest.fixture(scope="module")
def finished(tiny_pack, tmp_path_factory):
    """The folder of a run that nothing befell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder, tiny_pack) == 0
    return folder


@pytest.fixture(scope="module")
def undisturbed(finished):
    """Its metrics and summary."""
    return ended_well(0, finished)


def run(folder, pack, **sections):
    """Train in this process; returns the exit code."""
    return main([*command(folder, pack, **sections)])


def command(folder, pack, **sections):
    folder.mkdir(exist_ok=True)
    config = folder / "wanted.json"
    config.write_text(json.dumps(tiny_config(**(CONFIG | sections))))
    return [str(config), str(folder / "run"), "--data", str(pack)]


def run_disturbed(folder, pack, *disturbance, **sections):
    """Train in a process of its own with a fault of ``disturbed`` in it; returns the ended process."""
    return subprocess.run(
        [sys.executable, "-m", "tests.worker.disturbed", *disturbance, *command(folder, pack, **sections)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def ended_well(code, folder):
    """Metrics and results of a run that succeeded, after a look at its log and its files."""
    lines = (folder / "run" / "events.jsonl").read_bytes().splitlines(keepends=True)
    events = read_events(folder / "run" / "events.jsonl")
    assert code == 0, events[-1]
    assert events[-1].outcome == "succeeded"
    assert len(events) == len(lines)
    assert lines[-1].endswith(b"\n")
    for attempt in {event.attempt for event in events}:
        numbers = [event.seq for event in events if event.attempt == attempt]
        assert numbers == list(range(1, len(numbers) + 1))
    assert list((folder / "run").rglob("*.tmp")) == []
    found = metrics(events)
    assert all(len(values) == 1 for values in found.values())
    return found, {name: value for name, value in summary(events).items() if name not in TIMED}


def events_of(folder, attempt):
    return [event for event in read_events(folder / "run" / "events.jsonl") if event.attempt == attempt]


def checkpoints(folder):
    return sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())


@pytest.mark.parametrize("position", [0, 5000, -1])
def test_a_process_killed_while_it_saves_goes_on_from_the_checkpoint_before(position, tiny_pack, tmp_path, undisturbed):
    killed = run_disturbed(tmp_path, tiny_pack, "die_writing", f"{position}:ck-8-a1")
    assert killed.returncode == -9, killed.stderr
    assert checkpoints(tmp_path) == [".ck-8-a1.tmp", "ck-4-a1"]
    size = (tmp_path / "run" / "checkpoints" / ".ck-8-a1.tmp").stat().st_size
    assert size == (position if position >= 0 else (tmp_path / "run" / "checkpoints" / "ck-4-a1").stat().st_size)

    assert ended_well(run(tmp_path, tiny_pack), tmp_path) == undisturbed
    assert next(event.step for event in events_of(tmp_path, 2) if event.kind == "metrics") == 5
    assert checkpoints(tmp_path) == ["ck-12-a2", "ck-8-a2"]


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_checkpoint_costs_no_good_one_and_no_number(damage, tiny_pack, tmp_path, undisturbed):
    assert run(tmp_path, tiny_pack) == 0
    newest, before = registered_checkpoints(tmp_path / "run" / "events.jsonl")[:2]
    file = tmp_path / "run" / "checkpoints" / newest[0]
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 64
    file.write_bytes(content[: len(content) // 2] if damage == "truncated" else content)

    assert ended_well(run(tmp_path, tiny_pack), tmp_path) == undisturbed
    assert next(event.step for event in events_of(tmp_path, 2) if event.kind == "metrics") == 9
    assert checkpoints(tmp_path) == ["ck-12-a2", before[0]]


def test_the_log_of_a_full_disk_keeps_whole_lines_and_the_run_goes_on(tiny_pack, tmp_path, undisturbed):
    full = run_disturbed(tmp_path, tiny_pack, "full", "2500")
    assert full.returncode == NO_SPACE
    assert "The disk is full" in full.stderr
    content = (tmp_path / "run" / "events.jsonl").read_bytes()
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert content.endswith(b"\n")
    assert len(content.splitlines()) == len(events) > 3
    assert "end" not in [event.kind for event in events]

    assert ended_well(run(tmp_path, tiny_pack), tmp_path) == undisturbed


@pytest.mark.parametrize("what", ["ck-8-a1", "trained.json", "encoder.safetensors"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_full_for_a_file_is_told_in_the_log_and_the_run_goes_on(
    what, number, tiny_pack, tmp_path, undisturbed, monkeypatch
):
    fsync = os.fsync

    def full(descriptor):
        if what in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert run(tmp_path, tiny_pack) == NO_SPACE
    end = events_of(tmp_path, 1)[-1]
    assert (end.kind, end.outcome) == ("end", "no_space")
    newest = "ck-4-a1" if what == "ck-8-a1" else "ck-12-a1"
    assert end.error == f"The disk is full. Make room, and the run goes on. The newest good checkpoint is {newest}."
    assert ended_well(run(tmp_path, tiny_pack), tmp_path) == undisturbed


def test_a_run_on_a_disk_that_is_really_full_goes_on_when_there_is_room(small_disk, tiny_pack, finished, undisturbed):
    checkpoint = (finished / "run" / "checkpoints" / "ck-12-a1").stat().st_size
    free = shutil.disk_usage(small_disk).free
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (free - checkpoint * 3 // 2 - 32_768))  # room for a checkpoint and a half, and the log

    assert run(small_disk, tiny_pack) == NO_SPACE
    assert events_of(small_disk, 1)[-1].outcome == "no_space"
    assert checkpoints(small_disk) == ["ck-4-a1"]
    (name, sha256), *_ = registered_checkpoints(small_disk / "run" / "events.jsonl")
    assert file_sha256(small_disk / "run" / "checkpoints" / name) == sha256

    wanted = command(small_disk, tiny_pack)
    remaining = shutil.disk_usage(small_disk).free
    (small_disk / "more").write_bytes(b"x" * remaining)  # not a byte is left: not even the log can be written
    with (small_disk / "output").open("wb") as output:
        supervised = subprocess.Popen(
            [sys.executable, "-m", "worker.train", *wanted, "--supervised"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    assert supervised.wait(200) == NO_SPACE
    supervised.communicate()
    assert checkpoints(small_disk) == ["ck-4-a1"]

    (small_disk / "more").unlink()
    filler.unlink()
    assert ended_well(run(small_disk, tiny_pack), small_disk) == undisturbed


def test_out_of_memory_names_the_sizes_and_a_micro_batch_with_which_the_run_goes_on(tiny_pack, tmp_path):
    failed = run_disturbed(tmp_path, tiny_pack, "room", "4")
    assert failed.returncode == 1
    end = events_of(tmp_path, 1)[-1]
    assert end.outcome == "failed"
    for said in (
        "step of 16 images (32 views)",
        "8 x 8 x 3",
        "resnet18 of width 0.0625",
        "fp32",
        "2.00 GiB",
        "1.50 GiB",
    ):
        assert said in end.error
    assert "Set training.micro_batch_size to 8" in end.error
    assert end.remedy.model_dump(exclude_none=True) == {"micro_batch_size": 8}

    training = tiny_config()["training"]
    again = run_disturbed(tmp_path, tiny_pack, "room", "4", training=training | {"micro_batch_size": 8})
    assert again.returncode == 1
    end = events_of(tmp_path, 2)[-1]
    assert "step of 8 of 16 images" in end.error
    assert end.remedy.micro_batch_size == 4

    done = run_disturbed(tmp_path, tiny_pack, "room", "4", training=training | {"micro_batch_size": 4})
    assert done.returncode == 0, done.stderr
    assert summary(events_of(tmp_path, 3))["micro_batch_size"] == 4


def test_memory_for_not_even_two_images_has_no_remedy_but_says_what_to_lower(tiny_pack, tmp_path, monkeypatch):
    monkeypatch.setattr(SimCLR, "forward", SimCLR.forward)
    disturbed.room("1")
    for micro in (2, "auto"):
        assert run(tmp_path / str(micro), tiny_pack, training=tiny_config()["training"] | {"micro_batch_size": micro})
        end = events_of(tmp_path / str(micro), 1)[-1]
        assert "step of 2 of 16 images" in end.error
        assert "lower encoder.width" in end.error
        assert end.remedy is None


def test_the_largest_micro_batch_is_found_logged_kept_and_used_again(tiny_pack, tmp_path, monkeypatch):
    auto = tiny_config()["training"] | {"micro_batch_size": "auto"}
    forward = SimCLR.forward
    monkeypatch.setattr(SimCLR, "forward", forward)
    disturbed.room("5")
    reference = tmp_path / "reference"
    assert run(reference, tiny_pack, training=auto | {"micro_batch_size": 4}) == 0

    with monkeypatch.context() as patched:
        patched.setattr(TrainingProcess, "_evaluate", lambda *_: (_ for _ in ()).throw(ValueError("not now")))
        assert run(tmp_path, tiny_pack, training=auto) == 1
    first = events_of(tmp_path, 1)
    assert "4 images at once: the most of 16 that fit into memory." in [e.message for e in first if e.kind == "log"]
    (tmp_path / "run" / "checkpoints" / "ck-12-a1").unlink()

    SimCLR.forward = forward  # now there is room for all, but what was found stays
    assert run(tmp_path, tiny_pack, training=auto) == 0
    second = events_of(tmp_path, 2)
    assert any(e.kind == "log" and e.message.startswith("4 images at once") for e in second)
    assert summary(second)["micro_batch_size"] == 4
    expected = metrics(read_events(reference / "run" / "events.jsonl"))
    assert metrics(read_events(tmp_path / "run" / "events.jsonl")) == expected

    disturbed.room("2")
    (tmp_path / "run" / "checkpoints" / "ck-12-a2").unlink()
    assert run(tmp_path, tiny_pack, training=auto) == 0
    assert summary(events_of(tmp_path, 3))["micro_batch_size"] == 2


def test_numbers_without_end_stop_the_run_at_once_and_leave_the_last_good_checkpoint(tiny_pack, tmp_path):
    training = tiny_config()["training"] | {"epochs": 20}
    wild = {"name": "sgd", "learning_rate": 1000, "lr_scaling": "none", "warmup_epochs": 20, "momentum": 0.99}
    wild |= {"weight_decay": 1}
    ended = subprocess.run(
        [sys.executable, "-m", "worker.train", *command(tmp_path, tiny_pack, training=training, optimizer=wild)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    events = events_of(tmp_path, 1)
    last = max(event.step for event in events if event.kind == "metrics")
    assert events[-1].outcome == "failed"
    assert f" step {last}" in events[-1].error or f" step {last + 1}" in events[-1].error
    saved = [event for event in events if event.kind == "checkpoint"]
    assert events[-1].error.endswith(f"The newest good checkpoint is {saved[-1].name}.")
    assert checkpoints(tmp_path) == sorted(event.name for event in saved[-2:])
    state = torch.load(tmp_path / "run" / "checkpoints" / saved[-1].name, weights_only=True)
    assert all(value.isfinite().all() for value in state["learner"]["model"].values())


def test_weights_that_are_not_finite_are_never_saved_though_the_loss_before_them_was(tiny_pack, tmp_path, monkeypatch):
    step = torch.optim.SGD.step
    calls = []

    def spoiling(self, *args):
        result = step(self, *args)
        calls.append(1)
        if len(calls) == 8:
            self.param_groups[0]["params"][0].data[0, 0, 0, 0] = float("nan")
        return result

    monkeypatch.setattr(torch.optim.SGD, "step", spoiling)
    assert run(tmp_path, tiny_pack) == 1
    error = events_of(tmp_path, 1)[-1].error
    assert error.startswith("The weights are no longer finite after step 8.")
    assert error.endswith("The newest good checkpoint is ck-4-a1.")
    assert checkpoints(tmp_path) == ["ck-4-a1"]
