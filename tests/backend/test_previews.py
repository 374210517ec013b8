"""Previews: a worker answers while the request waits."""

import base64
import json
import threading
import time

import pytest
import redis
from pydantic import SecretStr

from backend.client import ApiError, Client
from backend.contracts.config import DatasetConfig, ExperimentConfig
from backend.contracts.previews import PreviewJob, ViewsPreview, ViewsRequest, ViewTriple
from backend.contracts.tasks import INTERACTIVE_QUEUE, PREVIEW_VIEWS
from backend.settings import Settings
from tests.backend.marks import on_one_database

PREVIEW = ViewsPreview(items=[ViewTriple(label="disc", image_png="YQ==", view1_png="Yg==", view2_png="Yw==")])


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update=getattr(request, "param", {}))


def take_job(broker: redis.Redis) -> PreviewJob:
    """What a worker would get."""
    message = json.loads(broker.blpop([INTERACTIVE_QUEUE], timeout=10)[1])
    assert message["headers"]["task"] == PREVIEW_VIEWS
    (argument,), _, _ = json.loads(base64.b64decode(message["body"]))
    return PreviewJob.model_validate(argument)


@on_one_database
@pytest.mark.parametrize("settings", [{"preview_seconds": 20.0}], indirect=True)
def test_the_worker_gets_the_request_and_its_answer_reaches_who_asked(client: Client, broker: redis.Redis) -> None:
    request = ViewsRequest(config=ExperimentConfig(dataset=DatasetConfig(image_size=24)), images=3, step=17)
    jobs: list[PreviewJob] = []

    def work() -> None:
        jobs.append(take_job(broker))
        client.post_preview(jobs[0].id, PREVIEW)

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.preview_views(request)
    worker.join()
    assert answer == PREVIEW
    assert (jobs[0].request, jobs[0].pack_sha256) == (request, None)


@on_one_database
def test_without_a_worker_the_answer_says_so_in_time(client: Client) -> None:
    begun = time.monotonic()
    with pytest.raises(ApiError, match="No worker answered") as error:
        client.preview_views(ViewsRequest())
    assert error.value.status == 504
    assert time.monotonic() - begun < 10


@on_one_database
@pytest.mark.parametrize("settings", [{"redis_url": SecretStr("redis://127.0.0.1:1/0")}], indirect=True)
def test_without_a_broker_the_answer_says_so(client: Client) -> None:
    with pytest.raises(ApiError, match="broker") as error:
        client.preview_views(ViewsRequest())
    assert error.value.status == 503


def test_a_preview_of_a_dataset_that_is_not_there_names_the_field(client: Client) -> None:
    with pytest.raises(ApiError) as error:
        client.preview_views(ViewsRequest(config=ExperimentConfig(dataset=DatasetConfig(name="no-such"))))
    assert error.value.status == 422
    assert error.value.problem.errors[0].field == "config.dataset.name"


@on_one_database
def test_an_answer_that_nobody_waits_for_is_forgotten_after_a_while(client: Client, broker: redis.Redis) -> None:
    client.post_preview("0123456789abc", PREVIEW)
    (key,) = broker.keys("simclr-lab:preview:*")
    assert 0 < broker.ttl(key) <= 60
