"""A run that goes on with more epochs or with another micro-batch."""

import json

import pytest
import torch

from tests.worker.conftest import tiny_config
from tests.worker.test_train import TIMED, metrics, summary
from worker.event_log import read_events
from worker.train import main, registered_checkpoints


@pytest.fixture
def train(tmp_path, tiny_pack):
    """Trains in a run directory, ``run`` if none is given, with fields of ``training`` changed; returns the exit code."""

    def train_one(*options, run="run", **training):
        config = tmp_path / "config.json"
        sections = {"training": training, "evaluation": {"knn_every_epochs": 0, "linear": False}}
        config.write_text(json.dumps(tiny_config(**sections)))
        return main([str(config), str(tmp_path / run), "--data", str(tiny_pack), *options])

    return train_one


@pytest.fixture
def events(tmp_path):
    return lambda attempt=None, run="run": [
        event for event in read_events(tmp_path / run / "events.jsonl") if attempt in {None, event.attempt}
    ]


def values(events, name):
    return {event.step: event.values[name] for event in events if event.kind == "metrics" and name in event.values}


def test_a_finished_run_is_trained_further_and_evaluated_anew(train, events, tmp_path):
    assert train(epochs=3) == 0
    first = summary(events())
    assert train(epochs=5) == 0

    second = events(2)
    assert sorted(values(second, "loss")) == list(range(13, 21))
    assert [event.name for event in second if event.kind == "checkpoint"] == ["ck-16-a2", "ck-20-a2"]
    progress = [event for event in second if event.kind == "progress"]
    assert {event.total_steps for event in progress} == {20}
    assert progress[0].progress >= 12 / 20 * 0.9
    assert progress[-1].progress == 1
    assert second[-1].outcome == "succeeded"
    found = summary(second)
    assert found["steps"] == 20
    assert found["encoder_sha256_after_evaluation"] != first["encoder_sha256_after_evaluation"]
    assert {step for name, step in metrics(events()) if name == "knn_top1"} == {12, 20}
    assert found["untrained_knn_top1"] == first["untrained_knn_top1"]
    kept = json.loads((tmp_path / "run" / "evaluations" / "trained.json").read_bytes())
    assert kept["measured"]["summary"]["knn_top1"] == found["knn_top1"]
    assert json.loads((tmp_path / "run" / "config.json").read_bytes())["training"]["epochs"] == 5
    assert (
        json.loads((tmp_path / "run" / "artifacts" / "report.json").read_bytes())["config"]["training"]["epochs"] == 5
    )


def test_the_learning_rate_follows_the_longer_run_from_the_step_on(train, events):
    assert train(epochs=3) == 0
    assert train(epochs=6) == 0
    assert train(epochs=6, run="long") == 0
    short, long = values(events(1), "learning_rate"), values(events(run="long"), "learning_rate")
    further = values(events(2), "learning_rate")
    assert short[12] < long[12]
    assert further == {step: rate for step, rate in long.items() if step > 12}


def test_a_raised_run_that_is_interrupted_ends_with_the_numbers_of_one_that_is_not(train, events, tmp_path):
    for run in ("run", "other"):
        assert train(epochs=3, run=run) == 0
        assert train(epochs=6, run=run) == 0
    newest = registered_checkpoints(tmp_path / "run" / "events.jsonl")[0][0]
    assert newest == "ck-24-a2"
    (tmp_path / "run" / "checkpoints" / newest).unlink()
    assert train(epochs=6) == 0
    assert sorted(values(events(3), "loss")) == [21, 22, 23, 24]
    assert metrics(events()) == metrics(events(run="other"))
    found, expected = (
        {name: value for name, value in summary(each).items() if name not in TIMED}
        for each in (events(), events(run="other"))
    )
    assert found == expected


def test_fewer_epochs_than_a_run_has_are_refused_by_name(train, events, tmp_path, capsys):
    assert train(epochs=3) == 0
    assert train(epochs=2) == 2
    assert "training.epochs is 2, but the run in" in capsys.readouterr().err
    assert len({event.attempt for event in events()}) == 1

    (tmp_path / "run" / "config.json").unlink()  # as a supervisor does, who puts the wanted one in its place
    assert train(epochs=2) == 1
    error = events(2)[-1].error
    assert error == "training.epochs: is 2, but the run has 3 epochs behind it: it can be given more, not fewer."
    assert "ck-12-a1" in [name for name, _ in registered_checkpoints(tmp_path / "run" / "events.jsonl")]
    assert (tmp_path / "run" / "checkpoints" / "ck-12-a1").is_file()


def test_a_run_goes_on_with_another_micro_batch(train, events):
    assert train(epochs=2) == 0
    assert train(epochs=3, micro_batch_size=4) == 0
    assert sorted(values(events(2), "loss")) == [9, 10, 11, 12]
    assert summary(events(2))["micro_batch_size"] == 4
    assert "micro_batch_size" not in summary(events(1))
    assert train(epochs=4, micro_batch_size="auto") == 0
    assert summary(events(3))["micro_batch_size"] == 16


def test_each_attempt_says_what_it_runs_on(train, events):
    for attempt in (1, 2):
        assert train(epochs=1) == 0
        found = [event for event in events(attempt) if event.kind == "environment"]
        assert len(found) == 1
        assert found[0].packages.keys() >= {"python", "torch", "torchvision", "numpy"}
        assert found[0].hardware["threads"] == torch.get_num_threads()
