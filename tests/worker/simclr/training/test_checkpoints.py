"""Checkpoints: complete or not there, known by their hash, and never a way to run code."""

import pickle

import pytest
import torch

from worker.simclr.training.checkpoints import load_checkpoint, prune_checkpoints, save_checkpoint

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


def test_the_two_newest_are_kept_and_those_of_a_later_attempt_are_left_alone(tmp_path):
    for step, attempt in ((5, 1), (10, 1), (15, 2), (7, 3), (100, 4)):
        save_checkpoint(tmp_path, STATE, step=step, attempt=attempt)
    prune_checkpoints(tmp_path, attempt=3)
    assert {path.name for path in tmp_path.iterdir()} == {"ck-15-a2", "ck-7-a3", "ck-100-a4"}
