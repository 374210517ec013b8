"""The load that runs cause: stored with their events, bounded, thinned for a chart."""

import itertools
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from backend.client import Client
from backend.contracts.runs import AttemptEnd, EventBatch, RunCreate, SystemSample
from backend.db.models import SystemRow
from backend.services.lab import Lab
from backend.settings import Settings
from tests.claiming import claim
from tests.examples import NOW

MOST = 40


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_system_samples": MOST})


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def sample(second: int) -> SystemSample:
    return SystemSample(time=NOW + timedelta(seconds=second), values={"cpu_percent": float(second)})


def post(client: Client, run_id: str, second: int) -> None:
    client.post_events(run_id, EventBatch(attempt=1, events=[], system=sample(second)))


def seconds(samples: list[SystemSample]) -> list[float]:
    return [one.values["cpu_percent"] for one in samples]


def test_samples_come_back_as_they_were_taken_and_once(client: Client, run_id: str) -> None:
    for second in (1, 2, 2, 3):
        post(client, run_id, second)
    assert client.system(run_id) == [sample(1), sample(2), sample(3)]


@pytest.mark.parametrize("max_points", [2, 7, 20, 50])
def test_samples_are_thinned_evenly_with_the_first_and_the_last(client: Client, run_id: str, max_points: int) -> None:
    for second in range(20):
        post(client, run_id, second)
    kept = seconds(client.system(run_id, max_points=max_points))
    assert len(kept) == min(20, max_points)
    assert (kept[0], kept[-1]) == (0, 19)
    gaps = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert max(gaps) - min(gaps) <= 1


def test_a_long_run_keeps_a_whole_curve_that_stays_even(client: Client, run_id: str) -> None:
    for second in range(3 * MOST):
        post(client, run_id, second)
    kept = seconds(client.system(run_id, max_points=1000))
    assert MOST // 3 <= len(kept) <= MOST
    assert (kept[0], kept[-1]) == (0, 3 * MOST - 1)
    assert kept == sorted(kept)
    gaps = [later - earlier for earlier, later in itertools.pairwise(kept)]
    spans = MOST // 2
    assert max(gaps) <= 2 * 3 * MOST / spans  # one of each span is kept: at most two of them between


def test_the_load_of_one_run_is_not_that_of_another(client: Client, run_id: str) -> None:
    post(client, run_id, 1)
    other = client.launch_run(RunCreate()).id
    assert client.system(other) == []


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", 1e30]
)
def test_a_time_that_no_database_can_hold_is_refused(http: httpx.Client, run_id: str, time: str | float) -> None:
    body = {"attempt": 1, "events": [], "system": {"time": time, "values": {}}}
    assert http.post(f"/worker/runs/{run_id}/events", json=body).status_code == 422


def test_the_load_goes_with_its_run(client: Client, lab: Lab) -> None:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    post(client, run_id, 1)
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
    client.delete_run(run_id)
    with lab.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SystemRow)) == 0
