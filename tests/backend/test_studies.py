"""Studies: a grid of runs, its results, and the presets to start from."""

from typing import Any

import httpx
import pytest

from backend.client import ApiError, Client
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import AttemptEnd
from backend.contracts.studies import Axis, AxisPoint, StudyCreate
from backend.services.presets import PRESETS
from tests.backend.events import batch, event
from tests.backend.marks import on_one_database
from tests.claiming import claim

BATCH_SIZES = Axis(
    name="batch size",
    points=[AxisPoint(label=str(size), set={"training.batch_size": size}) for size in (128, 256)],
)
AUGMENTATIONS = Axis(
    name="augmentation",
    points=[
        AxisPoint(label="crop", set={"augmentation.ops": [{"name": "crop"}]}),
        AxisPoint(label="none", set={"augmentation.ops": [], "loss.temperature": 0.1}),
    ],
)
GRID = StudyCreate(name="Grid", axes=[AUGMENTATIONS, BATCH_SIZES], seeds=[7, 8])
CELLS = [("crop", "128"), ("crop", "256"), ("none", "128"), ("none", "256")]


def test_a_study_queues_every_combination_with_every_seed_in_grid_order(client: Client) -> None:
    study = client.launch_study(GRID)
    results = client.study_results(study.id).results
    assert [(tuple(r.cell.values()), r.seed) for r in results] == [(cell, seed) for cell in CELLS for seed in (7, 8)]
    for result in results:
        config = result.run.config
        assert config.training.seed == result.seed
        assert str(config.training.batch_size) == result.cell["batch size"]
        assert config.augmentation.label == result.cell["augmentation"]
        assert config.loss.temperature == (0.1 if result.cell["augmentation"] == "none" else 0.5)
        assert result.run.study_id == study.id
    assert [result.run.id for result in results] == sorted(result.run.id for result in results)
    assert client.runs(study_id=study.id).total == 8
    assert dict(study.states) == {"queued": 8}


def test_results_fill_in_while_the_runs_finish(client: Client) -> None:
    study = client.launch_study(GRID)
    first = client.study_results(study.id).results[0].run.id
    claim(client, first)
    client.post_events(first, batch(event("summary", 1, values={"linear_top1": 0.5})))
    client.end_attempt(first, AttemptEnd(attempt=1, outcome="succeeded"))
    results = client.study_results(study.id)
    assert [result.run.summary.get("linear_top1") for result in results.results] == [0.5, *[None] * 7]
    assert dict(results.study.states) == {"succeeded": 1, "queued": 7}


def test_stopping_a_study_stops_what_has_not_ended(client: Client) -> None:
    study = client.launch_study(GRID)
    ids = [result.run.id for result in client.study_results(study.id).results]
    for run_id in ids[:2]:
        claim(client, run_id)
    client.end_attempt(ids[0], AttemptEnd(attempt=1, outcome="succeeded"))
    assert dict(client.stop_study(study.id).states) == {"succeeded": 1, "stopping": 1, "stopped": 6}
    assert dict(client.stop_study(study.id).states) == {"succeeded": 1, "stopping": 1, "stopped": 6}


def test_studies_are_listed_newest_first(client: Client, http: httpx.Client) -> None:
    assert client.studies() == []
    ids = [client.launch_study(GRID).id for _ in range(2)]
    assert [study.id for study in client.studies()] == ids[::-1]
    assert http.get(f"/studies/{ids[0]}").json() == client.studies()[1].model_dump(mode="json")
    assert http.get("/studies/no-such").status_code == 404
    assert http.post("/studies/no-such/stop").status_code == 404


def axis(**values: Any) -> Axis:
    return Axis(name="axis", points=[AxisPoint(label="good", set={"loss.temperature": 1}), *_bad(values)])


def _bad(values: dict[str, Any]) -> list[AxisPoint]:
    return [AxisPoint(label="bad", set={path.replace("__", "."): value for path, value in values.items()})]


@on_one_database
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"axes": [axis(training__batch_size=1)]}, "axes.0.points.1.set.training.batch_size"),
        ({"axes": [axis(training__batch_size=5001)]}, "axes.0.points.1.set.training.batch_size"),
        ({"axes": [BATCH_SIZES, axis(loss__temp=1)]}, "axes.1.points.1.set.loss.temp"),
        ({"axes": [axis(no__such__field=1)]}, "axes.0.points.1.set.no.such.field"),
        ({"axes": [axis(training__seed=1)]}, "axes.0.points.1.set.training.seed"),
        ({"axes": [axis(optimizer__warmup_epochs=31)]}, "axes"),
        ({"axes": [axis(dataset__name="no-such")]}, "axes.0.points.1.set.dataset.name"),
        ({"base": ExperimentConfig.model_validate({"dataset": {"name": "no-such"}})}, "base.dataset.name"),
        ({"axes": [BATCH_SIZES, BATCH_SIZES]}, "axes"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [0, -1]}, "seeds.1"),
        (
            {
                "axes": [
                    Axis(name=name, points=[AxisPoint(label=str(i), set={path: 0.1 + i}) for i in range(34)])
                    for name, path in (("t", "loss.temperature"), ("r", "optimizer.learning_rate"))
                ]
            },
            "axes",
        ),
    ],
)
def test_one_impossible_combination_is_named_and_nothing_is_queued(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ApiError) as error:
        client.launch_study(GRID.model_copy(update=changes))
    assert (error.value.status, [e.field for e in error.value.problem.errors]) == (422, [field])
    assert client.studies() == []
    assert client.runs().total == 0


def test_a_run_of_a_study_that_is_deleted_leaves_the_others(client: Client) -> None:
    study = client.launch_study(GRID)
    first, *others = (result.run.id for result in client.study_results(study.id).results)
    client.stop_run(first)
    client.delete_run(first)
    assert [result.run.id for result in client.study_results(study.id).results] == others


def test_the_presets_can_be_launched_as_they_are(client: Client) -> None:
    presets = {preset.id: preset for preset in client.presets()}
    assert list(presets.values()) == list(PRESETS)
    starter = presets["starter"].study
    assert starter is not None
    study = client.launch_study(starter)
    cells = [tuple(result.cell.values()) for result in client.study_results(study.id).results]
    assert cells == [(a, b) for a in ("crop", "color", "crop + color") for b in ("64", "128")]
    for preset in PRESETS:
        assert (preset.study is None) != (preset.config is None)


def test_the_papers_presets_have_its_numbers() -> None:
    configs = {preset.id: preset.config for preset in PRESETS if preset.config}
    cifar10, imagenet = configs["cifar10-paper"], configs["imagenet-paper"]
    for config in (cifar10, imagenet):
        assert (config.encoder.arch, config.encoder.width, config.head.z_dim) == ("resnet50", 1, 128)
        assert (config.optimizer.name, config.optimizer.weight_decay, config.optimizer.warmup_epochs) == (
            "lars",
            1e-6,
            10,
        )
    assert (cifar10.encoder_stem, imagenet.encoder_stem) == ("cifar", "imagenet")
    assert (cifar10.training.epochs, cifar10.training.batch_size) == (1000, 1024)
    assert (imagenet.training.epochs, imagenet.training.batch_size) == (100, 4096)
    assert (cifar10.peak_learning_rate, imagenet.peak_learning_rate) == pytest.approx((4.0, 4.8))
    assert (cifar10.loss.temperature, imagenet.loss.temperature) == (0.5, 0.1)
    assert cifar10.augmentation.label == "crop + flip + color 0.5"
    assert imagenet.augmentation.label == "crop + flip + color 1 + blur"
