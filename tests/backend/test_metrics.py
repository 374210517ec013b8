"""Reading metrics and logs."""

import json
from typing import Any

import httpx
import pytest

from backend.client import Client
from backend.contracts.runs import RunCreate
from tests.backend.events import batch, event, losses
from tests.backend.marks import on_one_database
from tests.claiming import claim


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def test_a_series_comes_back_as_it_was_measured(client: Client, run_id: str) -> None:
    client.post_events(run_id, losses(range(1, 4)))
    (series,) = client.metrics(run_id)
    assert (series.name, series.steps, series.epochs, series.values) == (
        "loss",
        [1, 2, 3],
        [0.1, 0.2, 0.3],
        [1.0, 1 / 2, 1 / 3],
    )


def test_since_gives_only_later_steps(client: Client, run_id: str) -> None:
    client.post_events(run_id, losses(range(1, 11)))
    assert client.metrics(run_id, since=7)[0].steps == [8, 9, 10]
    assert client.metrics(run_id, since=10) == []


def test_names_choose_the_series(client: Client, run_id: str) -> None:
    client.post_events(
        run_id, batch(event("metrics", 1, step=1, epoch=0.1, values={"loss": 1.0, "knn_top1": 0.5, "x": 2.0}))
    )
    assert [series.name for series in client.metrics(run_id)] == ["knn_top1", "loss", "x"]
    assert [series.name for series in client.metrics(run_id, names=["x", "loss", "no-such"])] == ["loss", "x"]


@pytest.mark.parametrize(("points", "max_points"), [(100, 2), (100, 7), (100, 99), (100, 100), (3, 2), (2, 5), (1, 2)])
def test_thinning_keeps_the_first_the_last_and_even_gaps(
    client: Client, run_id: str, points: int, max_points: int
) -> None:
    client.post_events(run_id, losses(range(1, points + 1)))
    (series,) = client.metrics(run_id, max_points=max_points)
    assert len(series.steps) == min(points, max_points)
    assert (series.steps[0], series.steps[-1]) == (1, points)
    gaps = {later - earlier for earlier, later in zip(series.steps, series.steps[1:], strict=False)}
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert series.values == [1 / step for step in series.steps]


def test_the_log_gives_its_last_lines_and_then_what_follows(client: Client, run_id: str) -> None:
    lines = [event("log", seq, message=f"line {seq}", level="warning") for seq in range(1, 6)]
    client.post_events(run_id, batch(*lines))
    last_two = client.logs(run_id, limit=2)
    assert [(line.message, line.level, line.attempt) for line in last_two] == [
        ("line 4", "warning", 1),
        ("line 5", "warning", 1),
    ]
    assert client.logs(run_id, after=last_two[-1].id) == []
    client.post_events(run_id, batch(event("log", 6, message="line 6")))
    assert [line.message for line in client.logs(run_id, after=last_two[-1].id)] == ["line 6"]
    assert [line.message for line in client.logs(run_id, after=last_two[0].id, limit=1)] == ["line 5"]


@on_one_database
@pytest.mark.parametrize(
    "change",
    [
        {"time": float("nan")},
        {"time": 1e300},
        {"time": -1e15},
        {"step": 10**30},
        {"values": {"loss": float("inf")}},
        {"values": {"": 1.0}},
        {"surprise": 1},
    ],
)
def test_an_event_that_no_database_can_hold_is_refused(http: httpx.Client, run_id: str, change: dict[str, Any]) -> None:
    good = {"kind": "metrics", "attempt": 1, "seq": 1, "time": 1.0, "step": 1, "epoch": 1.0, "values": {"loss": 1.0}}
    content = json.dumps({"attempt": 1, "events": [{**good, **change}]})
    answer = http.post(f"/worker/runs/{run_id}/events", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("events.0.")
    assert http.get(f"/runs/{run_id}/metrics").json() == []
