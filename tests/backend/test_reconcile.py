"""The reconcile loop: queued runs reach the broker, in order, whatever is lost on the way."""

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import update

from backend.client import Client
from backend.contracts.runs import ClaimRequest, RunCreate
from backend.contracts.tasks import RUNS_QUEUE, TRAIN_RUN
from backend.db.models import Run
from backend.db.types import utc_now
from backend.queue import BrokerUnreachableError
from backend.services import attempts, dispatch, reconcile, runs
from backend.services.lab import Lab
from backend.services.reconcile import Reconciler
from backend.settings import Settings
from tests.backend.marks import on_one_database


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update=getattr(request, "param", {}))


def launch(lab: Lab, count: int = 1) -> list[str]:
    return [runs.launch(lab, RunCreate()).id for _ in range(count)]


def queued(broker: redis.Redis) -> list[str]:
    """The runs in the broker, the one that a worker takes next first."""
    messages = [json.loads(message) for message in broker.lrange(RUNS_QUEUE, 0, -1)]
    assert all(message["headers"]["task"] == TRAIN_RUN for message in messages)
    return [message["headers"]["id"] for message in reversed(messages)]


def age_messages(lab: Lab) -> None:
    """As if what was sent had been sent a minute ago."""
    with lab.database.write() as session:
        session.execute(update(Run).where(Run.sent_at.is_not(None)).values(sent_at=utc_now() - timedelta(minutes=1)))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_queued_runs_are_sent_once_in_the_order_of_their_launch(lab: Lab, broker: redis.Redis) -> None:
    ids = launch(lab, 3)
    assert (dispatch.send_runs(lab), dispatch.send_runs(lab)) == (3, 0)
    assert queued(broker) == ids


@on_one_database
def test_a_message_holds_the_run_id_and_nothing_more(lab: Lab, broker: redis.Redis) -> None:
    (run_id,) = launch(lab)
    dispatch.send_runs(lab)
    message = json.loads(broker.lrange(RUNS_QUEUE, 0, -1)[0])
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([run_id], {})


def test_a_stopped_run_is_not_sent(lab: Lab, broker: redis.Redis) -> None:
    first, second = launch(lab, 2)
    runs.stop(lab, first)
    dispatch.send_runs(lab)
    assert queued(broker) == [second]


def test_what_the_broker_has_lost_is_missed_and_sent_again(lab: Lab, broker: redis.Redis) -> None:
    ids = launch(lab, 2)
    dispatch.send_runs(lab)
    assert dispatch.missing_runs(lab) == {}
    age_messages(lab)
    assert dispatch.missing_runs(lab) == {}
    broker.delete(RUNS_QUEUE)
    lost = dispatch.missing_runs(lab)
    assert set(lost) == set(ids)
    dispatch.send_again(lab, lost)
    assert dispatch.send_runs(lab) == 2
    assert queued(broker) == ids


def test_what_another_backend_has_sent_again_meanwhile_is_not_sent_a_third_time(lab: Lab, broker: redis.Redis) -> None:
    launch(lab)
    dispatch.send_runs(lab)
    age_messages(lab)
    broker.delete(RUNS_QUEUE)
    lost = dispatch.missing_runs(lab)
    for _ in range(2):
        dispatch.send_again(lab, lost)
        dispatch.send_runs(lab)
    assert len(queued(broker)) == 1


def test_a_claimed_run_is_not_missed(lab: Lab, broker: redis.Redis) -> None:
    (run_id,) = launch(lab)
    dispatch.send_runs(lab)
    age_messages(lab)
    broker.delete(RUNS_QUEUE)
    attempts.claim(lab, run_id, ClaimRequest(worker_id="worker-1"))
    assert dispatch.missing_runs(lab) == {}


@pytest.mark.parametrize("settings", [{"redis_url": SecretStr("redis://127.0.0.1:1/0")}], indirect=True)
def test_without_the_broker_runs_stay_queued_and_unsent(lab: Lab) -> None:
    (run_id,) = launch(lab)
    with pytest.raises(BrokerUnreachableError):
        dispatch.send_runs(lab)
    with lab.database.read() as session:
        run = runs.get(session, run_id)
    assert (run.state, run.sent_at) == ("queued", None)


def test_a_launch_over_http_reaches_the_broker(client: Client, broker: redis.Redis) -> None:
    run_id = client.launch_run(RunCreate()).id
    wait_until(lambda: queued(broker) == [run_id])


@pytest.mark.parametrize("settings", [{"lease_seconds": 0.3}], indirect=True)
def test_the_loop_takes_a_run_from_a_silent_worker_and_sends_it_again(client: Client, broker: redis.Redis) -> None:
    run_id = client.launch_run(RunCreate()).id
    wait_until(lambda: queued(broker) == [run_id])
    broker.delete(RUNS_QUEUE)  # the worker takes it ...
    client.claim(run_id, ClaimRequest(worker_id="worker-1"))  # ... and is never heard of again
    wait_until(lambda: queued(broker) == [run_id])
    assert [(t.to_state, t.actor) for t in client.transitions(run_id)][-1] == ("queued", "reconcile")


def test_the_loop_sends_again_what_is_missing_twice_in_a_row(
    lab: Lab, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_SEARCH_SECONDS", 0.05)
    (run_id,) = launch(lab)
    dispatch.send_runs(lab)
    age_messages(lab)
    broker.delete(RUNS_QUEUE)
    reconciler = Reconciler(lab)
    reconciler.start()
    try:
        wait_until(lambda: queued(broker) == [run_id])
    finally:
        reconciler.close()


@pytest.mark.parametrize("settings", [{"lease_seconds": 0.3}], indirect=True)
def test_a_backend_that_comes_back_gives_workers_a_lease_of_time_before_it_judges(lab: Lab) -> None:
    (run_id,) = launch(lab)
    attempts.claim(lab, run_id, ClaimRequest(worker_id="worker-1"))
    time.sleep(0.4)  # the backend was away, the lease has expired meanwhile
    begun = time.monotonic()
    reconciler = Reconciler(lab)
    reconciler.start()
    try:
        wait_until(lambda: runs.read(lab, run_id).state == "queued")
    finally:
        reconciler.close()
    assert time.monotonic() - begun >= 0.3
