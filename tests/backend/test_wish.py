"""What is wanted of a run: asked for and waited for by its worker."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import FastAPI

from backend import hub as hub_module
from backend.api.app import create_app
from backend.client import ApiError, Client
from backend.contracts.runs import AttemptEnd, RunCreate
from backend.services.lab import Lab
from backend.settings import Settings
from tests.backend.conftest import served
from tests.backend.events import batch, loss
from tests.backend.marks import on_one_database
from tests.claiming import claim

LONG = 50.0


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is heard was announced."""
    monkeypatch.setattr(hub_module, "LOOK_SECONDS", 1000.0)
    monkeypatch.setattr(hub_module, "LOOK_SECONDS_ALONE", 1000.0)


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id, "w-1")
    return run_id


def waiting(lab: Lab) -> int:
    return sum(map(len, lab.hub._watches.values()))


def wait_for_waiters(lab: Lab, count: int) -> None:
    ready = threading.Event()
    for _ in range(2000):
        if waiting(lab) == count and lab.database.engine.pool.checkedout() == 0:
            return
        ready.wait(0.01)
    pytest.fail("they did not come to wait")


def test_what_is_known_already_is_answered_when_the_time_is_over(client: Client, run_id: str) -> None:
    assert client.wait_for_wish(run_id, 1, "go_on", seconds=0) == "go_on"
    assert client.wait_for_wish(run_id, 1, "go_on", seconds=0.1) == "go_on"


def test_what_is_not_known_is_answered_at_once(client: Client, run_id: str) -> None:
    assert client.wait_for_wish(run_id, 1, "stop", seconds=LONG) == "go_on"
    client.drain_worker("w-1")
    assert client.wait_for_wish(run_id, 1, "go_on", seconds=LONG) == "drain"
    client.stop_run(run_id)
    assert client.wait_for_wish(run_id, 1, "drain", seconds=LONG) == "stop"


def test_a_stop_is_heard_while_it_is_waited_for(client: Client, lab: Lab, run_id: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(client.wait_for_wish, run_id, 1, "go_on", seconds=LONG)
        wait_for_waiters(lab, 1)
        client.post_events(run_id, batch(loss(1, 1)))  # something happens, but nothing is wanted
        assert not heard.done()
        client.stop_run(run_id)
        assert heard.result() == "stop"


def test_a_drain_is_heard_while_it_is_waited_for(client: Client, lab: Lab, run_id: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(client.wait_for_wish, run_id, 1, "go_on", seconds=LONG)
        wait_for_waiters(lab, 1)
        client.drain_worker("w-1")
        assert heard.result() == "drain"


def test_a_stop_asked_of_one_backend_is_heard_at_another(
    client: Client, lab: Lab, settings: Settings, token: str, run_id: str
) -> None:
    app = create_app(settings)
    with served(app) as address, Client(address, token) as other, ThreadPoolExecutor(1) as pool:
        heard = pool.submit(other.wait_for_wish, run_id, 1, "go_on", seconds=LONG)
        wait_for_waiters(app.state.lab, 1)
        client.stop_run(run_id)
        assert heard.result() == "stop"
    assert waiting(lab) == 0


@pytest.mark.parametrize("attempt", [2, 7])
def test_an_attempt_that_is_not_the_current_one_is_refused(client: Client, run_id: str, attempt: int) -> None:
    with pytest.raises(ApiError) as error:
        client.wait_for_wish(run_id, attempt, "go_on", seconds=LONG)
    assert error.value.status == 409


def test_an_attempt_that_is_lost_while_it_waits_is_refused(client: Client, lab: Lab, run_id: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(client.wait_for_wish, run_id, 1, "go_on", seconds=LONG)
        wait_for_waiters(lab, 1)
        client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="drained"))
        with pytest.raises(ApiError) as error:
            heard.result()
    assert error.value.status == 409


@on_one_database
def test_many_that_wait_hold_neither_threads_nor_connections(
    client: Client, lab: Lab, address: str, token: str, run_id: str
) -> None:
    """More than the server has threads (40) and database connections (50)."""
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=100)
    with (
        httpx.Client(base_url=f"{address}/api/v1", headers=headers, limits=limits, timeout=30, trust_env=False) as http,
        ThreadPoolExecutor(80) as pool,
    ):
        path = f"/worker/runs/{run_id}/wish"
        ask = {"attempt": 1, "known": "go_on", "seconds": LONG}
        heard = [pool.submit(http.get, path, params=ask) for _ in range(80)]
        wait_for_waiters(lab, 80)
        assert client.run(run_id).state == "running"
        client.stop_run(run_id)
        assert {one.result().json()["wish"] for one in heard} == {"stop"}


@on_one_database
def test_who_waits_is_answered_when_the_backend_ends(client: Client, app: FastAPI, lab: Lab, run_id: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(client.wait_for_wish, run_id, 1, "go_on", seconds=LONG)
        wait_for_waiters(lab, 1)
        app.state.lab.hub.close()
        assert heard.result() == "go_on"


@on_one_database
def test_nobody_waits_longer_than_a_minute(client: Client, run_id: str) -> None:
    with pytest.raises(ApiError) as error:
        client.wait_for_wish(run_id, 1, "go_on", seconds=61)
    assert error.value.status == 422
