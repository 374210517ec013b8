"""What people do with runs, over HTTP."""

import json
from typing import Any

import httpx
import pytest

from backend.client import ApiError, Client
from backend.contracts.config import DatasetConfig, ExperimentConfig
from backend.contracts.runs import AttemptEnd, RunCreate, RunPatch
from backend.services.lab import Lab
from tests.backend.marks import on_one_database
from tests.claiming import claim


def test_an_empty_request_is_a_complete_one(http: httpx.Client) -> None:
    answer = http.post("/runs", json={})
    assert answer.status_code == 201
    run = answer.json()
    assert run["state"] == "queued"
    assert run["config"] == ExperimentConfig().model_dump(mode="json")
    assert run["name"] == "shapes: crop + flip + color 0.5, batch 256, 30 epochs"
    assert http.get(f"/runs/{run['id']}").json() == run


@on_one_database
@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"training": {"batch_size": 1}}, "config.training.batch_size"),
        ({"training": {"batch_size": 1_000_000_000}}, "config.training.batch_size"),
        ({"training": {"batch_size": 5001}}, "config.training.batch_size"),
        ({"dataset": {"train_subset": 5001}}, "config.dataset.train_subset"),
        ({"dataset": {"train_subset": 100}, "training": {"batch_size": 50}}, "config.evaluation.knn_neighbors"),
        ({"dataset": {"name": "no-such"}}, "config.dataset.name"),
        ({"dataset": {"name": "cifar10"}}, "config.dataset.name"),
        ({"optimizer": {"learning_rate": float("nan")}}, "config.optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": float("inf")}}, "config.optimizer.learning_rate"),
        ({"training": {"epoch": 3}}, "config.training.epoch"),
        ({"augmentation": {"ops": [{"name": "crop", "min_area": 2}]}}, "config.augmentation.ops.0.crop.min_area"),
        ({"optimizer": {"warmup_epochs": 31}}, "config"),
    ],
)
def test_a_value_that_cannot_work_is_named_and_nothing_is_stored(
    http: httpx.Client, config: dict[str, Any], field: str
) -> None:
    answer = http.post("/runs", content=json.dumps({"config": config}), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["message"] in problem["detail"]
    assert http.get("/runs").json() == {"items": [], "total": 0}


@on_one_database
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"config": 3}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} <= {"body", "config"}


@on_one_database
def test_a_request_larger_than_the_limit_is_refused(http: httpx.Client, lab: Lab) -> None:
    answer = http.post("/runs", json={"notes": "x" * lab.settings.max_json_bytes})
    assert answer.status_code == 413


def test_a_queued_run_stops_at_once_and_a_running_one_is_asked_to(client: Client) -> None:
    queued, running = client.launch_run(RunCreate()).id, client.launch_run(RunCreate()).id
    claim(client, running)
    assert client.stop_run(queued).state == "stopped"
    assert client.stop_run(running).state == "stopping"
    assert client.stop_run(running).state == "stopping"
    client.end_attempt(running, AttemptEnd(attempt=1, outcome="stopped"))
    with pytest.raises(ApiError) as error:
        client.stop_run(running)
    assert error.value.status == 409


def test_a_clone_is_a_new_run_with_the_same_config(client: Client) -> None:
    config = ExperimentConfig(dataset=DatasetConfig(image_size=24))
    original = client.launch_run(RunCreate(config=config, name="first", tags=["a"], notes="why"))
    clone = client.clone_run(original.id)
    assert clone.id != original.id
    assert (clone.config, clone.name, clone.tags, clone.notes) == (config, "first", ["a"], "why")
    assert clone.state == "queued"


def test_a_patch_changes_what_it_names_and_nothing_else(client: Client) -> None:
    run = client.launch_run(RunCreate(name="before", tags=["a"], notes="kept"))
    changed = client.patch_run(run.id, RunPatch(name="after", tags=["b", "b", "c"]))
    assert (changed.name, changed.tags, changed.notes) == ("after", ["b", "c"], "kept")
    assert client.run(run.id) == changed


def test_only_a_run_that_has_ended_can_be_deleted_and_its_files_go_with_it(client: Client, lab: Lab) -> None:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    client.upload_artifact(run_id, 1, "report.json", b"{}")
    with pytest.raises(ApiError) as error:
        client.delete_run(run_id)
    assert error.value.status == 409
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
    client.delete_run(run_id)
    with pytest.raises(ApiError) as error:
        client.run(run_id)
    assert error.value.status == 404
    assert not (lab.settings.artifacts_dir / run_id).exists()


def test_lists_show_the_newest_first_in_pages(client: Client) -> None:
    ids = [client.launch_run(RunCreate()).id for _ in range(5)]
    page = client.runs(limit=2, offset=1)
    assert ([run.id for run in page.items], page.total) == ([ids[3], ids[2]], 5)


def test_lists_can_be_narrowed_by_state_dataset_and_tag(http: httpx.Client) -> None:
    tagged = http.post("/runs", json={"tags": ['quo"te', "b"]}).json()["id"]
    other = http.post("/runs", json={"tags": ["bb"]}).json()["id"]
    http.post(f"/runs/{other}/stop")

    def found(**which: str) -> list[str]:
        return [run["id"] for run in http.get("/runs", params=which).json()["items"]]

    assert found(state="queued") == [tagged]
    assert found(state="stopped") == [other]
    assert found(tag="b") == [tagged]
    assert found(tag='quo"te') == [tagged]
    assert found(dataset="shapes") == [other, tagged]
    assert found(dataset="cifar10") == []


@pytest.mark.parametrize("field", [{"name": "a\0b"}, {"notes": "\0"}, {"tags": ["t\0"]}])
def test_text_with_a_nul_character_is_refused_by_its_field(client: Client, field: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=rf"{next(iter(field))}[.\d]*: must hold no NUL"):
        client.launch_run(RunCreate.model_validate(field))


@pytest.mark.parametrize("method_and_path", ["GET /runs/x", "POST /runs/x/stop", "DELETE /runs/x", "GET /runs/x/logs"])
def test_a_run_that_is_not_there_is_not_found(http: httpx.Client, method_and_path: str) -> None:
    method, path = method_and_path.split()
    answer = http.request(method, path)
    assert answer.status_code == 404
    assert "no run 'x'" in answer.json()["detail"]
