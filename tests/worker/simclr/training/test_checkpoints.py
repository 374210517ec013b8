"""Checkpoints: complete or not there, known by their hash, and never a way to run code."""

import errno
import os
import pickle

import pytest
import torch

from worker.simclr.disk import is_disk_full
from worker.simclr.training.checkpoints import (
    load_checkpoint,
    prune_checkpoints,
    remove_unfinished,
    save_checkpoint,
)

STATE = {"step": 5, "weights": torch.arange(4.0), "losses": [1.0, 2.0], "name": "x"}


def test_a_saved_state_comes_back_bit_for_bit(tmp_path):
    saved = save_checkpoint(tmp_path, STATE, step=5, attempt=2)
    assert saved.name == "ck-5-a2"
    assert saved.size_bytes == (tmp_path / "ck-5-a2").stat().st_size
    loaded = load_checkpoint(tmp_path, saved.name, saved.sha256)
    assert torch.equal(loaded.pop("weights"), STATE["weights"])
    assert loaded == {key: value for key, value in STATE.items() if key != "weights"}
    assert [path.name for path in tmp_path.iterdir()] == ["ck-5-a2"]


def test_a_missing_or_changed_file_is_no_checkpoint(tmp_path):
    saved = save_checkpoint(tmp_path, STATE, step=5, attempt=1)
    assert load_checkpoint(tmp_path, "ck-6-a1", saved.sha256) is None
    with (tmp_path / saved.name).open("ab") as file:
        file.write(b"x")
    assert load_checkpoint(tmp_path, saved.name, saved.sha256) is None


def test_a_crash_while_saving_leaves_the_earlier_checkpoint_and_no_new_name(tmp_path):
    saved = save_checkpoint(tmp_path, STATE, step=5, attempt=1)

    class Crash:
        def __reduce__(self):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path, {"step": Crash()}, step=6, attempt=1)
    assert load_checkpoint(tmp_path, saved.name, saved.sha256) is not None
    assert not (tmp_path / "ck-6-a1").exists()


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Malicious:
        def __reduce__(self):
            return print, ("owned",)

    saved = save_checkpoint(tmp_path, {"step": Malicious()}, step=1, attempt=1)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(tmp_path, saved.name, saved.sha256)


def test_the_two_newest_good_ones_are_kept_and_those_of_a_later_attempt_are_left_alone(tmp_path):
    for step, attempt in ((5, 1), (10, 1), (15, 2), (7, 3), (100, 4)):
        save_checkpoint(tmp_path, STATE, step=step, attempt=attempt)
    prune_checkpoints(tmp_path, ["ck-7-a3", "ck-15-a2", "ck-10-a1"], attempt=3)
    assert {path.name for path in tmp_path.iterdir()} == {"ck-15-a2", "ck-7-a3", "ck-100-a4"}


def test_a_damaged_checkpoint_takes_no_place_of_a_good_one(tmp_path):
    for step, attempt in ((5, 1), (10, 1), (12, 2)):
        save_checkpoint(tmp_path, STATE, step=step, attempt=attempt)
    prune_checkpoints(tmp_path, ["ck-12-a2", "ck-5-a1"], attempt=2)  # it was ck-5-a1 that attempt 2 went on from
    assert {path.name for path in tmp_path.iterdir()} == {"ck-12-a2", "ck-5-a1"}


def test_what_was_left_unfinished_goes_but_for_that_of_a_later_attempt(tmp_path):
    saved = save_checkpoint(tmp_path, STATE, step=5, attempt=1)
    for name in (".ck-9-a1.tmp", ".ck-9-a2.tmp", ".ck-9-a3.tmp", "notes.tmp"):
        (tmp_path / name).write_bytes(b"x")
    remove_unfinished(tmp_path, attempt=2)
    assert {path.name for path in tmp_path.iterdir()} == {saved.name, ".ck-9-a3.tmp", "notes.tmp"}
    remove_unfinished(tmp_path / "none", attempt=2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_takes_the_unfinished_file_with_it(tmp_path, monkeypatch, number):
    saved = save_checkpoint(tmp_path, STATE, step=5, attempt=1)

    def full(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        save_checkpoint(tmp_path, STATE, step=6, attempt=1)
    assert is_disk_full(caught.value)
    assert not is_disk_full(OSError(errno.EACCES, "no"))
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]
