"""What a training process prints arrives as whole lines, bounded, and without the worker's secrets."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.client import BackendUnreachableError
from backend.contracts.runs import AttemptEnd, EventBatch, LeaseAnswer, OutputLines
from tests.worker.bench import Bench, wait_until
from worker import output_tail
from worker.output_tail import LINE_CHARACTERS, LINES, OutputTail


class Printed:
    """A file that grows, and its tail."""

    def __init__(self, path: Path, tail: OutputTail) -> None:
        self.path, self.tail = path, tail

    def add(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)

    def post(self, *, last: bool = False) -> OutputLines | None:
        self.tail.collect(last=last)
        batch = self.tail.batch()
        self.tail.confirm()
        return batch


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[Printed]:
    path = tmp_path / "trainer.log"
    with OutputTail(path) as tail:
        yield Printed(path, tail)


def test_whole_lines_and_where_they_stand(printed: Printed):
    assert printed.post() is None
    printed.add(b"one\ntwo\nthr")
    assert printed.post() == OutputLines(start=0, end=8, lines=["one", "two"])
    assert printed.post() is None
    printed.add(b"ee\nfour")
    assert printed.post() == OutputLines(start=8, end=14, lines=["three"])
    assert printed.post(last=True) == OutputLines(start=14, end=18, lines=["four"])


def test_a_batch_stays_the_same_until_it_has_arrived(printed: Printed):
    printed.add(b"one\n")
    printed.tail.collect()
    first = printed.tail.batch()
    printed.add(b"two\n")
    printed.tail.collect()
    assert printed.tail.batch() == first
    printed.tail.confirm()
    assert not printed.tail.is_posted
    assert printed.tail.batch() == OutputLines(start=4, end=8, lines=["two"])
    printed.tail.confirm()
    assert printed.tail.is_posted


def test_of_a_flood_the_last_lines_and_how_many_are_missing(printed: Printed):
    for start in (0, 4000):
        printed.add(b"".join(b"%d\n" % number for number in range(start, start + 1000)))
        printed.tail.collect()
    batch = printed.post()
    assert batch is not None
    assert len(batch.lines) == LINES
    assert batch.lines[0] == f"({2000 - LINES + 1} lines left out: too many at once)"
    assert batch.lines[1:] == [str(number) for number in range(5000 - LINES + 1, 5000)]
    assert (batch.start, batch.end) == (0, printed.path.stat().st_size)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"caf\xc3\xa9 \xff\n", "café \ufffd"),
        (b"a\0b\n", "a\ufffdb"),
        (b"windows\r\n", "windows"),
        (b"\r 10%\r 50%\r100%\n", "100%"),
        (b"x" * 5_000_000 + b"\n", "x" * (LINE_CHARACTERS - 1) + "…"),
        ("é".encode() * 3000 + b"\n", "é" * (LINE_CHARACTERS - 1) + "…"),
    ],
)
def test_a_line_is_shown_as_bounded_text(printed: Printed, raw: bytes, shown: str):
    printed.add(raw)
    assert printed.post() == OutputLines(start=0, end=len(raw), lines=[shown])


def test_the_file_is_emptied_when_it_is_large_and_counting_goes_on(printed: Printed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(output_tail, "FILE_BYTES", 10)
    printed.add(b"0123456789\nto")
    assert printed.post() == OutputLines(start=0, end=11, lines=["0123456789"])
    assert printed.path.stat().st_size == 0
    printed.add(b"rn\n")
    assert printed.post() == OutputLines(start=11, end=16, lines=["torn"])
    assert printed.tail.last_words == "0123456789\ntorn"


def test_what_it_prints_arrives_live_and_the_last_of_it_before_the_end(bench: Bench):
    with bench.supervising("""
    print("hello")
    while not os.path.exists(os.path.join(run_dir, "go")):
        time.sleep(0.01)
    print("bye")
    print("no newline", end="")
    write("end", outcome="succeeded")
    time.sleep(60)
    """):
        wait_until(lambda: bench.backend.printed == ["hello"])
        (bench.run_dir / "go").touch()
    assert bench.backend.printed == ["hello", "bye", "no newline"]
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="succeeded")


def test_what_a_crashed_trainer_printed_last_arrives_too(bench: Bench):
    bench.supervise('print("the last words"); os.kill(os.getpid(), 9)')
    assert bench.backend.printed == ["the last words"]


def test_each_attempt_starts_counting_anew(bench: Bench):
    for attempt in (1, 2):
        bench.backend.attempt = attempt
        bench.supervise('print("hello"); write("end", outcome="drained")')
    outputs = [batch.output for batch in bench.backend.batches if batch.output]
    assert outputs == 2 * [OutputLines(start=0, end=6, lines=["hello"])]


def test_output_that_the_backend_did_not_take_is_posted_again(bench: Bench):
    lost: list[EventBatch] = []
    take = bench.backend.post_events

    def lose_the_first_answer(run_id: str, batch: EventBatch) -> LeaseAnswer:
        if batch.output and not lost:
            lost.append(batch)
            raise BackendUnreachableError("away")
        return take(run_id, batch)

    bench.backend.post_events = lose_the_first_answer
    bench.supervise('print("hello"); time.sleep(0.2); print("bye"); write("end", outcome="succeeded")')
    outputs = [batch.output for batch in bench.backend.batches if batch.output]
    assert outputs[0] == lost[0].output
    assert bench.backend.printed == ["hello", "bye"]


def test_the_trainer_knows_no_secret_of_its_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    secrets = {
        "SIMCLR_LAB_TOKEN": "token-s3cret",
        "SIMCLR_LAB_REDIS_URL": "redis://:s3cret@broker",
        "SIMCLR_LAB_DATABASE_URL": "postgresql://u:s3cret@database",
        "CELERY_BROKER_URL": "redis://:s3cret@broker",
        "DATABASE_URL": "postgresql://u:s3cret@database",
        "POSTGRES_PASSWORD": "s3cret",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "HF_TOKEN": "s3cret",
    }
    for name, value in {**secrets, "SIMCLR_LAB_HOME": "/lab", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    bench.supervise('print(json.dumps(dict(os.environ))); write("end", outcome="succeeded")')
    environment = json.loads((bench.run_dir / "trainer.log").read_text())
    assert not {name: value for name, value in environment.items() if "s3cret" in value}
    assert not secrets.keys() & environment.keys()
    assert environment["SIMCLR_LAB_HOME"] == "/lab"
    assert environment["PATH"] == os.environ["PATH"]
