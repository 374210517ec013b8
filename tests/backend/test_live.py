"""Live events from several backends on one database and one broker, and what they cost while nothing happens."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event as database_events
from sqlalchemy import insert

from backend import hub as hub_module
from backend import transport as client_module
from backend.api.app import create_app
from backend.client import ApiError, BackendUnreachableError, Client
from backend.contracts.runs import AttemptEnd, RunCreate
from backend.db.models import JournalEntry
from backend.db.types import utc_now
from backend.services import runs, stream
from backend.services.lab import Lab
from backend.settings import Settings
from tests.backend.conftest import running_valkey, served
from tests.backend.events import batch, event, loss
from tests.backend.marks import on_one_database
from tests.backend.sse import Received, received
from tests.claiming import claim

NEVER = 1000.0


@dataclass
class Backend:
    lab: Lab
    client: Client
    http: httpx.Client

    @contextlib.contextmanager
    def follow(self, path: str, *, after: int | None = None) -> Iterator[Iterator[Received]]:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self.http.stream("GET", path, headers=headers) as answer:
            yield received(answer.iter_lines())


@contextlib.contextmanager
def running_backend(settings: Settings, port: int = 0) -> Iterator[Backend]:
    app = create_app(settings)
    token = (settings.home / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    with served(app, port) as address, Client(address, token) as client:
        http = httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=20, trust_env=False)
        with http:
            yield Backend(app.state.lab, client, http)


@pytest.fixture
def backends(settings: Settings) -> Iterator[tuple[Backend, Backend]]:
    with running_backend(settings) as one, running_backend(settings) as other:
        wait_until(lambda: one.lab.hub.is_connected and other.lab.hub.is_connected)
        yield one, other


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever arrives was announced."""
    monkeypatch.setattr(hub_module, "LOOK_SECONDS", NEVER)
    monkeypatch.setattr(hub_module, "LOOK_SECONDS_ALONE", NEVER)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def launch_and_claim(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


@pytest.mark.usefixtures("no_clock")
def test_what_one_backend_stores_arrives_at_the_clients_of_another(backends: tuple[Backend, Backend]) -> None:
    one, other = backends
    run_id = launch_and_claim(one.client)
    with other.follow(f"/runs/{run_id}/events") as events:
        assert [next(events).data["to_state"] for _ in range(2)] == ["queued", "running"]
        one.client.post_events(run_id, batch(loss(1, 1, 4.0)))
        assert next(events).data["values"] == {"loss": 4.0}
        one.client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
        assert [e.kind for e in events] == ["state", "ended"]


def test_the_id_of_an_event_is_good_at_every_backend(backends: tuple[Backend, Backend]) -> None:
    one, other = backends
    run_id = launch_and_claim(one.client)
    one.client.post_events(run_id, batch(loss(1, 1), loss(2, 2), loss(3, 3)))
    with one.follow(f"/runs/{run_id}/events") as events:
        seen = list(itertools.islice(events, 3))
    with other.follow(f"/runs/{run_id}/events", after=seen[-1].id) as events:
        assert [e.data["step"] for e in itertools.islice(events, 2)] == [2, 3]


@on_one_database
def test_a_broker_that_dies_and_comes_back_interrupts_nothing(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "vk"
    settings = settings.model_copy(update={"redis_url": SecretStr(f"redis+socket://{path}")})
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running_valkey(path))
        one, other = (stack.enter_context(running_backend(settings)) for _ in range(2))
        run_id = launch_and_claim(one.client)
        mine = stack.enter_context(one.follow(f"/runs/{run_id}/events"))
        others = stack.enter_context(other.follow(f"/runs/{run_id}/events"))
        assert [next(events).kind for events in (mine, others) for _ in range(2)] == ["state"] * 4
        broker.kill()
        broker.wait()
        wait_until(lambda: not (one.lab.hub.is_connected or other.lab.hub.is_connected))
        one.client.post_events(run_id, batch(loss(1, 1)))
        assert [next(events).data["step"] for events in (mine, others)] == [1, 1]
        stack.enter_context(running_valkey(path))
        wait_until(lambda: one.lab.hub.is_connected and other.lab.hub.is_connected)
        one.client.post_events(run_id, batch(loss(2, 2)))
        assert [next(events).data["step"] for events in (mine, others)] == [2, 2]


@on_one_database
@pytest.mark.usefixtures("no_clock")
def test_who_follows_asks_nothing_of_the_database_while_nothing_happens(settings: Settings) -> None:
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(running_backend(settings))
        wait_until(lambda: backend.lab.hub.is_connected)
        run_id = launch_and_claim(backend.client)
        streams = [stack.enter_context(backend.follow(f"/runs/{run_id}/events")) for _ in range(30)]
        assert all(next(events).data["to_state"] == "queued" for events in streams)
        assert all(next(events).data["to_state"] == "running" for events in streams)
        wait_until(lambda: backend.lab.database.engine.pool.checkedout() == 0)
        statements: list[str] = []
        database_events.listen(
            backend.lab.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
        )
        backend.client.run(launch_and_claim(backend.client))
        time.sleep(0.5)
        assert not [one for one in statements if "SELECT journal" in one]
        backend.client.post_events(run_id, batch(loss(1, 1)))
        assert all(next(events).data["step"] == 1 for events in streams)


@on_one_database
def test_a_stream_comes_in_bounded_pages(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_PAGE", 3)
    monkeypatch.setattr(stream, "_SPAN", 4)
    with running_backend(settings) as backend:
        run_id = launch_and_claim(backend.client)
        backend.client.post_events(run_id, batch(*(loss(seq, seq) for seq in range(1, 21))))
        backend.client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
        with backend.follow(f"/runs/{run_id}/events") as events:
            assert [e.data["step"] for e in events if e.kind == "metrics"] == list(range(1, 21))
        page = stream.of_run(backend.lab, run_id, 0)
        assert (len(page.entries), page.is_last, page.ended) == (3, False, None)
        with backend.follow("/events", after=0) as events:
            assert [e.data["to_state"] for e in itertools.islice(events, 3)] == ["queued", "running", "succeeded"]


@pytest.mark.usefixtures("no_clock")
def test_the_overview_shows_states_phases_and_progress_of_all_runs(backends: tuple[Backend, Backend]) -> None:
    one, other = backends
    before = launch_and_claim(one.client)
    with other.http.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("id: "))  # it knows where now is
        events = received(lines)
        after = one.client.launch_run(RunCreate()).id
        progress = event("progress", 3, step=1, total_steps=4, progress=0.25, eta_seconds=9.0)
        one.client.post_events(before, batch(event("phase", 1, phase="pretraining"), loss(2, 1), progress))
        seen = list(itertools.islice(events, 3))
    assert [(e.kind, e.data["run_id"]) for e in seen] == [("state", after), ("phase", before), ("progress", before)]
    with one.follow("/events", after=seen[0].id) as events:
        assert list(itertools.islice(events, 2)) == seen[1:]


def test_entries_become_visible_in_the_order_of_their_ids(lab: Lab) -> None:
    """Otherwise a stream of all runs would pass over those of a slow transaction."""
    ids: list[int] = []

    def write(run_id: str) -> None:
        with lab.database.write() as session:
            row = {"run_id": run_id, "attempt": 1, "time": utc_now(), "kind": "state", "data": {}}
            session.execute(insert(JournalEntry), [row])
        ids.append(stream.newest(lab))

    first, second = (_launched(lab) for _ in range(2))
    thread = threading.Thread(target=write, args=[second])
    with lab.database.write() as session:
        mine = JournalEntry(run_id=first, attempt=1, time=utc_now(), kind="state", data={})
        session.add(mine)
        session.flush()
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "a later id was visible before an earlier one"
    thread.join()
    assert ids == [mine.id + 1]


def test_every_way_of_writing_an_entry_announces_its_run_and_only_after_the_commit(app: FastAPI) -> None:
    lab: Lab = app.state.lab
    announced: list[set[str]] = []
    lab.database._on_change = announced.append
    run_id = _launched(lab)
    assert announced.pop() == {run_id}
    row = {"run_id": run_id, "attempt": 1, "time": utc_now(), "kind": "state", "data": {}}
    for write in (
        lambda session: session.add(JournalEntry(**row)),
        lambda session: session.execute(insert(JournalEntry), [row, row]),
        lambda session: session.execute(insert(JournalEntry), row),
    ):
        with lab.database.write() as session:
            write(session)
            assert announced == []
        assert announced.pop() == {run_id}
    with contextlib.suppress(ZeroDivisionError), lab.database.write() as session:
        session.execute(insert(JournalEntry), [row])
        raise ZeroDivisionError
    with lab.database.write() as session:
        session.execute(JournalEntry.__table__.update().values(attempt=2))
    assert announced == []


@pytest.mark.usefixtures("no_clock")
def test_the_deletion_of_a_run_is_announced(backends: tuple[Backend, Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = backends
    run_id = launch_and_claim(one.client)
    with other.follow(f"/runs/{run_id}/events") as events:
        assert [next(events).kind for _ in range(2)] == ["state", "state"]
        monkeypatch.setattr("backend.services.runs.ENDED", {"running"})
        one.client.delete_run(run_id)
        assert [e.kind for e in events] == ["deleted"]


@on_one_database
def test_the_client_follows_over_a_restart_of_the_backend(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_RECONNECT_SECONDS", 0.05)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_backend(settings, port) as first:
        run_id = launch_and_claim(first.client)
        first.client.post_events(run_id, batch(loss(1, 1)))
        token = (settings.home / "token").read_text().strip()
        follower = Client(f"http://127.0.0.1:{port}", token)
        events = follower.events(run_id)
        seen = list(itertools.islice(events, 3))
    rest: list[object] = []
    thread = threading.Thread(target=lambda: rest.extend(events))
    thread.start()
    with running_backend(settings, port) as second:
        second.client.post_events(run_id, batch(loss(2, 2)))
        second.client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
        thread.join()
        follower.close()
        assert [e.kind for e in (*seen, *rest)] == ["state", "state", "metrics", "metrics", "state", "ended"]
        assert [e.kind for e in second.client.events(run_id, after=seen[-1].id)] == ["metrics", "state", "ended"]
        assert next(second.client.overview_events(after=0)).data["run_id"] == run_id
        with pytest.raises(ApiError) as error:
            next(second.client.events("no-such"))
        assert error.value.status == 404
    with pytest.raises(BackendUnreachableError), Client(f"http://127.0.0.1:{port}", token) as nobody:
        next(nobody.events(run_id))


def test_names_with_odd_characters_do_not_break_a_stream(client: Client) -> None:
    name = "a\u2028b\x85c\nd\x0be"
    run_id = client.launch_run(RunCreate(name=name)).id
    client.stop_run(run_id)
    *_, last = client.events(run_id)
    assert (last.kind, last.data["name"]) == ("ended", name)


def _launched(lab: Lab) -> str:
    return runs.launch(lab, RunCreate()).id
