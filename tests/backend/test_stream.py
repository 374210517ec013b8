"""The live stream of a run."""

import threading

import httpx
import pytest
from fastapi import FastAPI

from backend.client import Client
from backend.contracts.runs import AttemptEnd, RunCreate
from tests.backend.events import batch, event, loss
from tests.backend.marks import on_one_database
from tests.backend.sse import Received, received
from tests.claiming import claim


def follow(http: httpx.Client, run_id: str, *, after: int | None = None) -> list[Received]:
    """Everything until the stream ends by itself."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with http.stream("GET", f"/runs/{run_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(received(answer.iter_lines()))


def finish(client: Client, run_id: str) -> None:
    client.post_events(run_id, batch(loss(1, 1), event("log", 2, message="zwei\nZeilen"), loss(3, 2)))
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def test_who_comes_late_gets_everything_from_the_beginning(http: httpx.Client, client: Client, run_id: str) -> None:
    finish(client, run_id)
    events = follow(http, run_id)
    assert [e.kind for e in events] == ["state", "state", "metrics", "log", "metrics", "state", "ended"]
    assert [e.data["to_state"] for e in events if e.kind == "state"] == ["queued", "running", "succeeded"]
    assert events[2].data["values"] == {"loss": 5.0}
    assert events[3].data["message"] == "zwei\nZeilen"
    assert events[-1].data["state"] == "succeeded"


def test_who_comes_back_gets_exactly_what_was_missed(http: httpx.Client, client: Client, run_id: str) -> None:
    finish(client, run_id)
    everything = follow(http, run_id)
    numbered = [e for e in everything if e.id is not None]
    assert [e.id for e in numbered] == sorted({e.id for e in numbered})
    for place, seen in enumerate(numbered):
        assert follow(http, run_id, after=seen.id) == everything[place + 1 :]
    assert http.get(f"/runs/{run_id}/events", params={"after": numbered[-1].id}).text.count("event:") == 1


def test_events_arrive_while_the_run_goes_on_and_the_stream_ends_with_it(
    http: httpx.Client, client: Client, run_id: str
) -> None:
    with http.stream("GET", f"/runs/{run_id}/events") as answer:
        events = received(answer.iter_lines())
        assert [next(events).kind for _ in range(2)] == ["state", "state"]
        client.post_events(run_id, batch(loss(1, 1, 4.0)))
        assert next(events).data["values"] == {"loss": 4.0}
        client.stop_run(run_id)
        assert next(events).data["to_state"] == "stopping"
        client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="stopped"))
        assert [e.kind for e in events] == ["state", "ended"]


def test_the_stream_of_a_run_that_is_deleted_says_so(http: httpx.Client, client: Client) -> None:
    run_id = client.launch_run(RunCreate()).id
    with http.stream("GET", f"/runs/{run_id}/events") as answer:
        events = received(answer.iter_lines())
        assert next(events).kind == "state"
        client.stop_run(run_id)
        client.delete_run(run_id)
        assert [e.kind for e in events][-1] in {"deleted", "ended"}


def test_the_stream_of_a_run_that_is_not_there_is_not_found(http: httpx.Client) -> None:
    answer = http.get("/runs/no-such/events")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_only_the_newest_progress_is_kept(http: httpx.Client, client: Client, run_id: str) -> None:
    steps = [event("progress", seq, step=seq, total_steps=9, progress=seq / 9) for seq in range(1, 6)]
    client.post_events(run_id, batch(*steps[:3]))
    client.post_events(run_id, batch(*steps[3:]))
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="failed", error="x"))
    assert [e.data["step"] for e in follow(http, run_id) if e.kind == "progress"] == [5]


def test_several_can_follow_one_run(http: httpx.Client, client: Client, run_id: str) -> None:
    seen: list[list[Received]] = []
    threads = [threading.Thread(target=lambda: seen.append(follow(http, run_id))) for _ in range(4)]
    for thread in threads:
        thread.start()
    finish(client, run_id)
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert all(events == seen[0] for events in seen)


@on_one_database
def test_a_backend_that_ends_ends_its_streams(http: httpx.Client, app: FastAPI, run_id: str) -> None:
    with http.stream("GET", f"/runs/{run_id}/events") as answer:
        events = received(answer.iter_lines())
        assert [next(events).kind for _ in range(2)] == ["state", "state"]
        app.state.lab.hub.close()
        assert list(events) == []
