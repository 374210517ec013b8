"""Estimates: what follows from a config before anything runs."""

from typing import Any

import httpx
import pytest

from backend.client import Client
from backend.contracts.estimates import Estimate, EstimateRequest
from backend.contracts.runs import AttemptEnd, RunCreate
from tests.backend.events import batch, event
from tests.backend.marks import on_one_database
from tests.backend.test_evaluations import import_dataset
from tests.claiming import claim
from tests.examples import a_beat

CPU = "CPU (x86_64, 2 threads)"


def estimate(client: Client, **config: Any) -> Estimate:
    return client.estimate(EstimateRequest.model_validate({"config": config}))


def beat(client: Client, device: str) -> None:
    client.beat(a_beat(device, gpus=0 if device == "CPU" else 1, gpu=device))


def measured(client: Client, speed: float, device: str = CPU, **config: Any) -> None:
    """A finished run of this speed; the worker that took it has another card by now."""
    run_id = client.launch_run(RunCreate.model_validate({"config": config})).id
    claim(client, run_id, "w", gpus=1, gpu="Tesla T4")
    client.post_events(run_id, batch(event("summary", 1, values={"images_per_second": speed, "device": device})))
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))


def fields(found: Estimate) -> list[str]:
    return [one.field for one in found.advice]


@on_one_database
def test_the_default_config_on_rendered_shapes(client: Client) -> None:
    found = estimate(client)
    assert (found.images, found.steps_per_epoch, found.steps) == (5000, 19, 570)
    assert (found.views_per_step, found.candidates_per_anchor) == (512, 511)
    assert (found.encoder_stem, found.h_dim, found.z_dim) == ("cifar", 512, 128)
    assert (found.encoder_parameters, found.head_parameters) == (11_168_832, 512 * 512 + 2 * 512 + 512 * 128)
    assert found.peak_learning_rate == 0.3
    assert found.pixel_bytes == 5000 * 3 * 32 * 32
    assert found.batch_norm == "Batch statistics: 512 views."
    assert (found.seconds, found.seconds_source, found.measured_runs) == (None, "unknown", 0)
    assert found.advice == []


@on_one_database
def test_a_micro_batch_is_what_batch_norm_sees(client: Client) -> None:
    assert estimate(client, training={"micro_batch_size": 32}).batch_norm == (
        "Batch statistics: 64 views: a micro-batch; the loss and gradient are those of the whole batch of 512 views."
    )
    on_gpus = estimate(client, training={"micro_batch_size": 32}, resources={"gpus": 2}).batch_norm
    assert on_gpus.startswith("Batch statistics: 128 views, over all 2 GPUs: a micro-batch;")


@on_one_database
def test_images_are_those_of_the_dataset_or_of_its_subset(client: Client) -> None:
    import_dataset(client, "pets", "1" * 64)
    found = estimate(client, dataset={"name": "pets", "train_subset": 200}, training={"batch_size": 64})
    assert (found.images, found.steps_per_epoch, found.pixel_bytes) == (200, 3, 200 * 3 * 32 * 32)
    unknown = estimate(client, dataset={"name": "not-there"})
    assert (unknown.images, unknown.steps, unknown.pixel_bytes) == (None, None, None)
    assert unknown.h_dim == 512


@on_one_database
def test_the_size_of_a_timm_net_is_unknown(client: Client) -> None:
    found = estimate(client, encoder={"arch": "timm:resnet26"})
    assert (found.h_dim, found.encoder_parameters, found.encoder_stem, found.z_dim) == (None, None, None, 128)


def test_time_is_from_the_speed_of_earlier_runs_of_this_net_on_a_workers_device(client: Client) -> None:
    for speed in (100.0, 300.0, 200.0):
        measured(client, speed)
    measured(client, 9999.0, encoder={"width": 0.5})
    measured(client, 9999.0, encoder={"stem": "stride2"})
    measured(client, 9999.0, dataset={"image_size": 64})
    measured(client, 9999.0, training={"micro_batch_size": 32})
    measured(client, 9999.0, device="NVIDIA H100")
    assert estimate(client).seconds_source == "unknown"
    beat(client, "CPU")
    found = estimate(client, training={"epochs": 10})
    assert (found.images_per_second, found.measured_runs, found.device) == (200.0, 3, CPU)
    assert found.seconds == pytest.approx(10 * 19 * 256 / 200)


@on_one_database
@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"training": {"batch_size": 6000}, "optimizer": {"name": "adamw"}}, "config.training.batch_size"),
        ({"training": {"batch_size": 3000}}, "config.training.batch_size"),
        ({"optimizer": {"name": "lars"}}, "config.optimizer.name"),
        ({"training": {"batch_size": 5000}}, "config.optimizer.name"),
        ({"dataset": {"image_size": 96}}, "config.loss.temperature"),
        ({"loss": {"temperature": 0.1}, "training": {"epochs": 500}}, "config.loss.temperature"),
        ({"training": {"epochs": 1}}, "config.optimizer.warmup_epochs"),
        ({"augmentation": {"ops": []}}, "config.augmentation.ops"),
    ],
)
def test_what_is_probably_not_meant_is_told_with_its_field(client: Client, config: dict[str, Any], field: str) -> None:
    assert fields(estimate(client, **config)) == [field]


@on_one_database
def test_an_impossible_config_is_refused_as_at_launch(http: httpx.Client) -> None:
    answer = http.post("/estimates", json={"config": {"training": {"batch_size": 1}}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "config.training.batch_size"
