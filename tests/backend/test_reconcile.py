"""The reconcile loop: runs that a worker could take are hinted at, whatever is lost on the way; leases end."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from pydantic import SecretStr

from backend.client import Client
from backend.contracts.runs import ClaimRequest, RunCreate
from backend.contracts.tasks import RUNS_QUEUE, TRAIN_RUN
from backend.queue import BrokerUnreachableError
from backend.services import dispatch, run_queue, runs, scheduling, workers
from backend.services.lab import Lab
from backend.services.reconcile import Reconciler
from backend.settings import Settings
from tests.backend.marks import on_one_database
from tests.examples import a_beat

WORKER = ClaimRequest(worker_id="w-1")


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update=getattr(request, "param", {}))


def launch(lab: Lab, count: int = 1, *, gpus: int = 0) -> list[str]:
    request = RunCreate.model_validate({"config": {"resources": {"gpus": gpus}}})
    return [runs.launch(lab, request).id for _ in range(count)]


def hints(broker: redis.Redis) -> int:
    messages = [json.loads(message) for message in broker.lrange(RUNS_QUEUE, 0, -1)]
    assert all(message["headers"]["task"] == TRAIN_RUN for message in messages)
    return len(messages)


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextmanager
def reconciling(lab: Lab) -> Iterator[None]:
    reconciler = Reconciler(lab)
    reconciler.start()
    try:
        yield
    finally:
        reconciler.close()


@contextmanager
def worker_of_hints(lab: Lab, broker: redis.Redis, beat: Callable[[], None]) -> Iterator[list[str]]:
    """A worker that beats, and on every hint asks for one run; yields the runs that it got."""
    claimed: list[str] = []
    closing = threading.Event()

    def work() -> None:
        while not closing.is_set():
            beat()
            if broker.brpop([RUNS_QUEUE], timeout=0.05) is not None:
                claim = scheduling.claim(lab, WORKER)
                claimed.extend([claim.run_id] if claim else [])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield claimed
    finally:
        closing.set()
        thread.join()


def test_as_many_hints_wait_as_workers_have_free_slots(lab: Lab, broker: redis.Redis) -> None:
    workers.beat(lab, a_beat("w-1", gpus=2, slots_per_gpu=2))
    workers.beat(lab, a_beat("w-2"))
    assert dispatch.send_hints(lab) == 0
    launch(lab)
    assert (dispatch.send_hints(lab), dispatch.send_hints(lab), hints(broker)) == (5, 0, 5)
    broker.lpop(RUNS_QUEUE)
    assert (dispatch.send_hints(lab), hints(broker)) == (1, 5)


@pytest.mark.parametrize(
    "beat",
    [
        {"disk_free_bytes": 1000},
        {"gpus": 1},
    ],
)
def test_nobody_is_woken_for_a_run_that_no_worker_could_take(lab: Lab, broker: redis.Redis, beat: dict) -> None:
    workers.beat(lab, a_beat("w-1", **beat))
    launch(lab, gpus=2 if "gpus" in beat else 0)
    assert (dispatch.send_hints(lab), hints(broker)) == (0, 0)


def test_nobody_is_woken_while_every_slot_is_taken_or_its_worker_drains(lab: Lab, broker: redis.Redis) -> None:
    workers.beat(lab, a_beat("w-1"))
    launch(lab, 2)
    scheduling.claim(lab, WORKER)
    assert dispatch.send_hints(lab) == 0
    workers.beat(lab, a_beat("w-2"))
    workers.drain(lab, "w-2", draining=True)
    assert (dispatch.send_hints(lab), hints(broker)) == (0, 0)
    workers.drain(lab, "w-2", draining=False)
    assert (dispatch.send_hints(lab), hints(broker)) == (1, 1)


@on_one_database
def test_a_hint_holds_a_run_id_and_nothing_more(lab: Lab, broker: redis.Redis) -> None:
    workers.beat(lab, a_beat())
    (run_id,) = launch(lab)
    dispatch.send_hints(lab)
    message = json.loads(broker.lrange(RUNS_QUEUE, 0, -1)[0])
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([run_id], {})


def test_a_stopped_run_is_not_hinted_at(lab: Lab, broker: redis.Redis) -> None:
    workers.beat(lab, a_beat())
    runs.stop(lab, launch(lab)[0])
    assert (dispatch.send_hints(lab), hints(broker)) == (0, 0)


@pytest.mark.parametrize("settings", [{"redis_url": SecretStr("redis://127.0.0.1:1/0")}], indirect=True)
def test_without_the_broker_runs_stay_queued_and_are_hinted_at_later(lab: Lab) -> None:
    workers.beat(lab, a_beat())
    (run_id,) = launch(lab)
    for _ in range(2):
        with pytest.raises(BrokerUnreachableError):
            dispatch.send_hints(lab)
    assert runs.read(lab, run_id).state == "queued"


def test_a_launch_over_http_reaches_the_broker(client: Client, broker: redis.Redis) -> None:
    client.beat(a_beat())
    client.launch_run(RunCreate())
    wait_until(lambda: hints(broker) == 1)


def test_runs_queued_before_their_worker_came_are_claimed_when_it_beats(lab: Lab, broker: redis.Redis) -> None:
    launched = launch(lab, 3)

    def beat() -> None:
        workers.beat(lab, a_beat("w-1", slots_per_gpu=3))

    with reconciling(lab), worker_of_hints(lab, broker, beat) as claimed:
        wait_until(lambda: len(claimed) == 3)
    assert claimed == launched


def test_with_hints_wiped_doubled_and_taken_by_others_every_run_is_claimed_once(lab: Lab, broker: redis.Redis) -> None:
    launched = launch(lab, 6)

    def beat() -> None:
        workers.beat(lab, a_beat("w-1", slots_per_gpu=6))

    def disturb() -> None:
        message = broker.lpop(RUNS_QUEUE)  # taken by a worker that died of it
        if message is not None and len(claimed) % 2:
            broker.lpush(RUNS_QUEUE, message, message)
        elif message is not None:
            broker.delete(RUNS_QUEUE)

    with reconciling(lab), worker_of_hints(lab, broker, beat) as claimed:
        end = time.monotonic() + 20
        while len(claimed) < 6 and time.monotonic() < end:
            disturb()
            time.sleep(0.1)
    assert claimed == launched
    assert run_queue.listed(lab) == []


@pytest.mark.parametrize("settings", [{"lease_seconds": 0.3}], indirect=True)
def test_the_loop_takes_a_run_from_a_silent_worker_and_wakes_another(client: Client, broker: redis.Redis) -> None:
    client.beat(a_beat("w-1"))
    run_id = client.launch_run(RunCreate()).id
    assert client.claim_next(WORKER) is not None  # and never a word again
    wait_until(lambda: client.run(run_id).state == "queued")
    move = client.transitions(run_id)[-1]
    assert (move.to_state, move.actor) == ("queued", "reconcile")
    broker.delete(RUNS_QUEUE)
    wait_until(lambda: hints(broker) > 0)


@pytest.mark.parametrize("settings", [{"lease_seconds": 0.3}], indirect=True)
def test_a_backend_that_comes_back_gives_workers_a_lease_of_time_before_it_judges(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1"))
    (run_id,) = launch(lab)
    assert scheduling.claim(lab, WORKER) is not None
    time.sleep(0.4)  # the backend was away, the lease has expired meanwhile
    begun = time.monotonic()
    with reconciling(lab):
        wait_until(lambda: runs.read(lab, run_id).state == "queued")
    assert time.monotonic() - begun >= 0.3
