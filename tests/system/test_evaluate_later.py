"""A finished run is evaluated further through the application: nothing is trained again, and the results join."""

import json
from typing import Any

from backend.client import Client
from backend.contracts.config import ExperimentConfig
from backend.contracts.datasets import DatasetCreate
from backend.contracts.runs import EvaluateRequest
from tests.system.conftest import RunningLab, tiny_config, wait_until

MORE = {
    "on_z": True,
    "linear_sgd": {"epochs": 2, "batch_size": 20},
    "semi_supervised": {"label_shares": [0.5], "epochs": [2], "batch_size": 10},
    "transfer": {"datasets": ["twin"]},
    "projection": {"images": 10, "neighbors": 2},
}


def import_twin(lab: RunningLab, path: str) -> None:
    lab.client.import_dataset(DatasetCreate(name="twin", source="folder", path=path, image_size=8))
    wait_until(lambda: lab.client.dataset("twin").state == "ready", "the twin is imported")


def artifact(client: Client, run_id: str, name: str) -> Any:
    return json.loads(client.artifact(run_id, name))


def test_a_finished_run_is_evaluated_further_and_two_runs_are_compared(lab: RunningLab, images: Any):
    import_twin(lab, str(images))
    run_id = lab.launch(tiny_config(epochs=2))
    before = lab.wait_for_end(run_id)
    assert before.state == "succeeded", before.error
    losses = lab.metrics(run_id)["loss"]

    lab.client.evaluate_run(run_id, EvaluateRequest.model_validate({"evaluation": MORE}))
    after = lab.wait_for_end(run_id)
    assert (after.state, after.attempts) == ("succeeded", 2), after.error
    assert lab.metrics(run_id)["loss"] == losses
    new = {"z_knn_top1", "linear_sgd_top1", "semi_supervised_50pct_top1", "transfer_twin_linear_top1"}
    assert new <= set(after.summary) - set(before.summary)
    kept = ("linear_top1", "knn_top1", "loss", "steps", "encoder_sha256_after_evaluation")
    assert {name: after.summary[name] for name in kept} == {name: before.summary[name] for name in kept}
    assert len(artifact(lab.client, run_id, "projection.json")["images"]) == 10
    assert set(artifact(lab.client, run_id, "evaluation.json")["classifiers"]) >= {"knn", "linear", "linear_sgd"}

    config = tiny_config(epochs=2).model_dump(mode="json")
    config["training"]["seed"] = 1
    other = lab.launch(ExperimentConfig.model_validate(config))
    lab.wait_for_end(other)
    linear = {one.classifier: one for one in lab.client.compare_runs(run_id, other).classifiers}["linear"]
    assert linear.images == 12
    first_right = linear.both_right + linear.only_first_right
    assert first_right / 12 == after.summary["linear_top1"]
