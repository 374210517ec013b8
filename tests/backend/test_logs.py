"""The log of a run: what it holds of the training process's output, how it is bounded, and how it is searched."""

import httpx
import pytest
from sqlalchemy import func, select

from backend.client import Client
from backend.contracts.runs import AttemptEnd, EventBatch, OutputLines, RunCreate
from backend.db.models import JournalEntry
from backend.services import logs
from backend.services.lab import Lab
from backend.settings import Settings
from tests.backend.events import batch, event
from tests.claiming import claim

MOST = 100


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_log_lines": MOST})


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def printed(*lines: str, start: int = 0, attempt: int = 1) -> EventBatch:
    size = sum(len(line.encode()) + 1 for line in lines)
    return EventBatch(attempt=attempt, events=[], output=OutputLines(start=start, end=start + size, lines=list(lines)))


def messages(client: Client, run_id: str, **which: str) -> list[str]:
    return [line.message for line in client.logs(run_id, **which)]


def test_what_the_process_prints_is_kept_once(client: Client, run_id: str) -> None:
    first = printed("Epoch 1", "Epoch 2")
    for _ in range(2):
        client.post_events(run_id, first)
    client.post_events(run_id, printed("Epoch 3", start=first.output.end if first.output else 0))
    lines = client.logs(run_id)
    assert [line.message for line in lines] == ["Epoch 1", "Epoch 2", "Epoch 3"]
    assert {(line.level, line.source, line.attempt) for line in lines} == {("info", "output", 1)}


def test_the_next_attempt_prints_from_its_beginning(client: Client, run_id: str) -> None:
    client.post_events(run_id, printed("once"))
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="drained"))
    claim(client, run_id, "worker-2")
    client.post_events(run_id, printed("more", attempt=2))
    assert [(line.attempt, line.message) for line in client.logs(run_id)] == [(1, "once"), (2, "more")]


def test_lines_of_the_lab_and_of_the_process_stand_together(client: Client, run_id: str) -> None:
    both = printed("printed").model_copy(update={"events": [event("log", 1, message="said", level="warning")]})
    client.post_events(run_id, both)
    assert {(line.message, line.source) for line in client.logs(run_id)} == {("printed", "output"), ("said", "lab")}


def test_output_without_a_whole_line_is_no_line(client: Client, run_id: str) -> None:
    client.post_events(run_id, EventBatch(attempt=1, events=[], output=OutputLines(start=0, end=0, lines=[])))
    client.post_events(run_id, EventBatch(attempt=1, events=[], output=OutputLines(start=0, end=5, lines=[])))
    assert client.logs(run_id) == []


@pytest.mark.parametrize(("length", "missing"), [(2000, 0), (2001, 1), (20_000, 18_000)])
def test_a_long_line_is_cut_with_a_mark(client: Client, run_id: str, length: int, missing: int) -> None:
    client.post_events(run_id, printed("x" * length))
    mark = f" ... [{missing} more characters]" if missing else ""
    assert messages(client, run_id) == ["x" * 2000 + mark]


def test_a_flood_is_bounded_and_loses_no_error(client: Client, lab: Lab, run_id: str) -> None:
    client.post_events(run_id, batch(event("log", 1, message="the cause", level="error")))
    client.post_events(run_id, batch(event("log", 2, message="a hint", level="warning")))
    start = 0
    for post in range(12):
        flood = printed(*(f"line {post} {number}" for number in range(300)), start=start)
        start = flood.output.end if flood.output else 0
        client.post_events(run_id, flood)
        with lab.database.read() as session:
            kept = session.scalar(select(func.count()).where(JournalEntry.kind == "log")) or 0
        assert MOST * 9 // 10 <= kept <= MOST
    found = messages(client, run_id)
    assert found[:2] == ["the cause", "a hint"]
    assert found[-1] == "line 11 299"
    assert len(client.metrics(run_id)) == 0
    assert [move.to_state for move in client.transitions(run_id)] == ["queued", "running"]


def test_of_too_many_errors_the_oldest_go(client: Client, run_id: str) -> None:
    errors = [event("log", seq, message=f"error {seq}", level="error") for seq in range(1, MOST + 2)]
    client.post_events(run_id, batch(*errors))
    assert messages(client, run_id)[-1] == f"error {MOST + 1}"
    assert "error 1" not in messages(client, run_id)


def test_the_bound_of_one_run_spares_another(client: Client, run_id: str) -> None:
    other = client.launch_run(RunCreate()).id
    claim(client, other, "worker-2")
    client.post_events(other, printed("mine"))
    client.post_events(run_id, printed(*map(str, range(500))))
    assert messages(client, other) == ["mine"]


def test_lines_are_pruned_many_at_a_time(client: Client, lab: Lab, run_id: str) -> None:
    client.post_events(run_id, printed(*map(str, range(MOST))))
    with lab.database.read() as session:
        before = session.scalars(select(JournalEntry.id).where(JournalEntry.kind == "log")).all()
    client.post_events(run_id, printed("one more", start=10_000))
    with lab.database.read() as session:
        after = session.scalars(select(JournalEntry.id).where(JournalEntry.kind == "log")).all()
    assert len(before) == MOST
    assert len(after) == MOST * 9 // 10


def test_a_search_finds_the_text_in_any_case_and_no_pattern(client: Client, run_id: str) -> None:
    lines = ["CUDA Out Of Memory", "100% done", "a_b", "axb", "data/x", "c:\\x", "it's", "GRÖSSE Größe"]
    client.post_events(run_id, printed(*lines))
    for search, found in {
        "out of memory": ["CUDA Out Of Memory"],
        "OUT": ["CUDA Out Of Memory"],
        "%": ["100% done"],
        "_": ["a_b"],
        "/": ["data/x"],
        "\\": ["c:\\x"],
        "'": ["it's"],
        "größe": ["GRÖSSE Größe"],
        "GRÖSSE": ["GRÖSSE Größe"],
        "grösse": ["GRÖSSE Größe"],
        '"level"': [],
        "nothing of it": [],
        "": lines,
    }.items():
        assert messages(client, run_id, search=search) == found, search


def test_a_level_shows_itself_and_what_is_worse(client: Client, run_id: str) -> None:
    levels = ("info", "warning", "error")
    client.post_events(run_id, batch(*(event("log", n, message=x, level=x) for n, x in enumerate(levels, start=1))))
    for place, level in enumerate(levels):
        assert messages(client, run_id, level=level) == list(levels[place:])
    assert messages(client, run_id, level="warning", search="ERR") == ["error"]


def test_a_search_is_paged_like_the_log(client: Client, run_id: str) -> None:
    client.post_events(run_id, printed(*(f"{'odd' if n % 2 else 'even'} {n}" for n in range(10))))
    last = client.logs(run_id, search="odd", limit=2)
    assert [line.message for line in last] == ["odd 7", "odd 9"]
    assert client.logs(run_id, search="odd", after=last[-1].id) == []
    assert [line.message for line in client.logs(run_id, search="even", after=last[0].id)] == ["even 8"]


def test_nul_characters_can_be_stored_and_searched(client: Client, run_id: str) -> None:
    client.post_events(run_id, batch(event("log", 1, message="a\0b")))
    client.post_events(run_id, printed("c\0d"))
    assert messages(client, run_id, search="\N{REPLACEMENT CHARACTER}") == ["a�b", "c�d"]


@pytest.mark.parametrize("query", [{"level": "loud"}, {"search": "x" * 201}, {"search": "\0"}])
def test_a_question_that_makes_no_sense_is_no_failure(http: httpx.Client, run_id: str, query: dict[str, str]) -> None:
    assert http.get(f"/runs/{run_id}/logs", params=query).status_code in {200, 422}


def test_every_level_of_an_event_has_its_place() -> None:
    assert logs.LEVELS == ("info", "warning", "error")
