"""Evaluating a run in several goes: what is done is kept, what is added is done, nothing is done twice."""

import json
import signal

import pytest
import torch

from backend.contracts.config import ExperimentConfig
from tests.worker.conftest import tiny_config
from worker import evaluate, train
from worker.evaluating import evaluate_run, keep, read_kept
from worker.event_log import EventLog, read_events
from worker.pipeline import evaluations
from worker.pipeline.bench import Measured
from worker.pipeline.experiment import Experiment
from worker.simclr.data.dataset import ImageDataset, Images

SGD = {"linear_sgd": {"epochs": 1, "batch_size": 16}}


@pytest.fixture(autouse=True)
def _signals():
    """``main`` takes over two signals; give them back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def did(monkeypatch):
    """Names of the evaluations that are really done, in order."""
    names = []
    real = evaluations.planned

    def planned(experiment):
        def noted(evaluation):
            def measure():
                names.append(evaluation.name)
                return (yield from evaluation.measure())

            return evaluations.Evaluation(**{**vars(evaluation), "measure": measure})

        return [noted(evaluation) for evaluation in real(experiment)]

    monkeypatch.setattr("worker.evaluating.planned", planned)
    return names


def attempt(run_dir, number):
    return [event for event in read_events(run_dir / "events.jsonl") if event.attempt == number]


def summary(events):
    return {name: value for event in events if event.kind == "summary" for name, value in event.values.items()}


def start(config, run_dir, pack, *options):
    return train.main([str(config), str(run_dir), "--data", str(pack), *map(str, options)])


def written(tmp_path, evaluation):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(evaluation))
    return str(path)


def test_a_finished_run_is_evaluated_further_without_training_or_measuring_anything_again(
    write_config, run_dir, tiny_pack, did
):
    assert start(write_config(), run_dir, tiny_pack) == 0
    assert did == ["trained", "untrained"]
    did.clear()
    assert start(write_config(evaluation=SGD), run_dir, tiny_pack) == 0
    assert did == ["linear_sgd", "untrained_linear_sgd"]
    first, second = attempt(run_dir, 1), attempt(run_dir, 2)
    assert {event.step for event in second if event.kind == "metrics"} == {12}
    assert not any(event.kind == "checkpoint" for event in second)
    assert summary(second).items() >= summary(first).items()
    assert summary(second).keys() - summary(first).keys() == {
        "linear_sgd_top1",
        "untrained_linear_sgd_top1",
        "linear_sgd_augmentation",
    }
    kept = json.loads((run_dir / "config.json").read_text())
    assert kept["evaluation"]["linear_sgd"]["epochs"] == 1
    predictions = json.loads((run_dir / "artifacts" / "predictions.json").read_text())
    assert predictions["predictions"].keys() == {"knn", "linear", "linear_sgd"}
    assert predictions["test_set"] == tiny_pack.name
    assert len(predictions["labels"]) == len(predictions["predictions"]["linear"]) == 24
    assert predictions["classes"] == ["blue", "green", "red"]
    details = json.loads((run_dir / "artifacts" / "evaluation.json").read_text())
    assert details["classifiers"].keys() == {"knn", "linear", "linear_sgd"}


def test_an_evaluation_that_was_killed_goes_on_after_the_last_one_finished(
    write_config, run_dir, tiny_pack, did, monkeypatch
):
    config = write_config(evaluation=SGD)

    def killed(*_args, **_options):
        raise RuntimeError("killed")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(evaluations, "measure_linear_sgd", killed)
        assert start(config, run_dir, tiny_pack) == 1
    assert did == ["trained", "untrained", "linear_sgd"]
    assert "linear_top1" in summary(attempt(run_dir, 1))
    did.clear()
    assert start(config, run_dir, tiny_pack) == 0
    assert did == ["linear_sgd", "untrained_linear_sgd"]
    assert {"linear_top1", "untrained_linear_top1", "linear_sgd_top1"} <= summary(attempt(run_dir, 2)).keys()
    assert [event.progress for event in attempt(run_dir, 2) if event.kind == "progress"][-1] == 1


def test_a_stop_in_the_middle_of_an_evaluation_is_heeded(write_config, run_dir, tiny_pack, did, monkeypatch):
    config = write_config(evaluation={"linear_sgd": {"epochs": 10_000, "batch_size": 16}})
    real = evaluations.measure_linear_sgd

    def stopping(*args, **options):
        steps = real(*args, **options)
        yield next(steps)
        signal.raise_signal(signal.SIGINT)
        yield from steps

    monkeypatch.setattr(evaluations, "measure_linear_sgd", stopping)
    assert start(config, run_dir, tiny_pack) == 0
    assert attempt(run_dir, 1)[-1].outcome == "stopped"
    assert did == ["trained", "untrained", "linear_sgd"]


def test_a_changed_setting_of_one_section_repeats_that_section_only(write_config, run_dir, tiny_pack, did):
    assert start(write_config(evaluation=SGD), run_dir, tiny_pack) == 0
    did.clear()
    longer = {"linear_sgd": {"epochs": 2, "batch_size": 16}}
    assert start(write_config(evaluation=longer), run_dir, tiny_pack) == 0
    assert did == ["linear_sgd", "untrained_linear_sgd"]


def test_the_command_adds_sections_to_those_that_the_run_has(write_config, run_dir, tiny_pack, tmp_path, did):
    assert start(write_config(evaluation=SGD), run_dir, tiny_pack) == 0
    did.clear()
    further = written(tmp_path, {"transfer": {"datasets": ["again"]}, "projection": {"images": 10}})
    command = [str(run_dir), further, "--data", str(tiny_pack), "--transfer", f"again={tiny_pack}"]
    assert evaluate.main(command) == 0
    assert did == ["projection", "transfer_again", "untrained_transfer_again"]
    results = summary(attempt(run_dir, 2))
    assert {"linear_sgd_top1", "transfer_again_linear_top1", "untrained_transfer_again_linear_top1"} <= results.keys()
    names = {event.name for event in attempt(run_dir, 2) if event.kind == "artifact"}
    assert {"projection.json", "projection.png"} <= names
    assert not list(run_dir.glob(".evaluate*"))


def test_the_command_refuses_what_is_no_evaluation_and_what_is_no_finished_run(
    write_config, run_dir, tiny_pack, tmp_path, capsys
):
    assert evaluate.main([str(run_dir), written(tmp_path, SGD)]) == 2
    assert "holds no run that has finished its pretraining" in capsys.readouterr().err
    assert start(write_config(), run_dir, tiny_pack) == 0
    assert evaluate.main([str(run_dir), written(tmp_path, {"linear_sdg": {}}), "--data", str(tiny_pack)]) == 2
    assert "linear_sdg: Extra inputs are not permitted" in capsys.readouterr().err
    assert evaluate.main([str(run_dir), written(tmp_path, {"transfer": {"datasets": ["tiny"]}})]) == 2
    assert "on which the run pretrains" in capsys.readouterr().err


def test_transfer_without_its_images_is_refused_before_anything_runs(write_config, run_dir, tiny_pack):
    config = write_config(evaluation={"transfer": {"datasets": ["cifar10"]}})
    assert start(config, run_dir, tiny_pack) == 1
    events = attempt(run_dir, 1)
    assert events[-1].error == (
        "evaluation.transfer.datasets: 'cifar10' is not at hand: give its images with --transfer cifar10=PATH."
    )
    assert not any(event.kind == "metrics" for event in events)


def test_a_run_on_images_without_labels_is_evaluated_on_those_it_transfers_to(tiny_images, tmp_path):
    nothing = Images(tiny_images.train.pixels[:0], tiny_images.train.labels[:0])
    unlabelled = ImageDataset(nothing, nothing, (), tiny_images.train.pixels)
    without = {"linear": False, "untrained_baseline": False, "knn_every_epochs": 0}
    for number, evaluation in enumerate(({}, {"transfer": {"datasets": ["other"]}})):
        sections = {"dataset": {"pretrain_on": "unlabelled"}, "evaluation": without | evaluation}
        config = ExperimentConfig.model_validate(tiny_config(training={"epochs": 1}, **sections))
        run = Experiment(config, unlabelled, torch.device("cpu"), transfer={"other": (tiny_images, "b")})
        list(run.pretrain())
        log = EventLog(tmp_path / "events.jsonl", number + 1)
        assert list(evaluate_run(run, tmp_path / str(number), log))[-1] == 1
        log.close()
        names = {name for name in summary(attempt(tmp_path, number + 1)) if name.endswith("_top1")}
        assert names == ({"transfer_other_linear_top1"} if evaluation else set())


def test_another_pretraining_in_the_same_directory_is_still_refused(write_config, run_dir, tiny_pack, capsys):
    assert start(write_config(), run_dir, tiny_pack) == 0
    changed = write_config(evaluation=SGD, loss={"temperature": 0.7})
    assert start(changed, run_dir, tiny_pack) == 2
    assert "holds a run of another config" in capsys.readouterr().err


def test_what_is_kept_comes_back_as_it_was_and_only_under_its_key(tmp_path):
    found = Measured({"a": 0.5, "b": None}, {"knn": {"x": [1]}}, {"knn": [0, 2]}, {"map.png": b"\x89P"}, ("beware",))
    file = tmp_path / "evaluations" / "trained.json"
    assert read_kept(file, "key") is None
    keep(file, "key", found)
    assert read_kept(file, "key") == found
    assert read_kept(file, "other") is None
    file.write_bytes(file.read_bytes()[:20])
    assert read_kept(file, "key") is None
