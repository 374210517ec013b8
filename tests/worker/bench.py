"""A place to supervise at, with a fake backend and, for the training process, small scripts."""

import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.config import ExperimentConfig
from backend.contracts.problems import Problem
from backend.contracts.runs import (
    AttemptEnd,
    CheckpointRead,
    Claim,
    ClaimRequest,
    DatasetLocation,
    EventBatch,
    LeaseAnswer,
    RunRead,
    Wish,
)
from tests.examples import a_run
from worker import backend_link, supervisor
from worker.claiming import work_through_queue
from worker.supervisor import Workplace

RUN = "run-1"

PREAMBLE = """
import json, os, sys, time
config, run_dir = sys.argv[1:3]
attempt = int(sys.argv[sys.argv.index("--attempt") + 1])
seq = 0
def write(kind, **values):
    global seq
    seq += 1
    event = dict(kind=kind, attempt=attempt, seq=seq, time=time.time(), **values)
    with open(os.path.join(run_dir, "events.jsonl"), "a") as log:
        log.write(json.dumps(event) + "\\n")
open(os.path.join(run_dir, "pid"), "w").write(str(os.getpid()))
"""

HANGING = """
write("phase", phase="pretraining")
time.sleep(60)
"""

OBEDIENT = """
write("phase", phase="pretraining")
word = sys.stdin.readline().strip()
write("log", message="heard " + word)
write("end", outcome="stopped" if word == "stop" else "drained")
"""


def problem(status: int) -> ApiError:
    return ApiError(Problem(title="no", status=status, detail="for the test"))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class FakeBackend:
    """Holds one run, once, and what is posted; ``fail`` may raise before anything is stored."""

    def __init__(self, *, attempt: int = 1, checkpoints: list[CheckpointRead] | None = None) -> None:
        self.attempt = attempt
        self.config = ExperimentConfig()
        self.gpus: list[int] = []
        self.transfer: list[DatasetLocation] = []
        self.checkpoints = checkpoints or []
        self.is_queued = True
        self.batches: list[EventBatch] = []
        self.times: list[float] = []
        self.files: dict[str, bytes] = {}
        self.end: AttemptEnd | None = None
        self.wish: Wish = "go_on"
        self.news = threading.Condition()
        self.can_be_waited_for = True
        self.fail: Callable[[], None] = lambda: None
        self.lease_seconds = 4.0

    @property
    def seqs(self) -> list[int]:
        return [event.seq for batch in self.batches for event in batch.events]

    @property
    def printed(self) -> list[str]:
        return [line for batch in self.batches if batch.output for line in batch.output.lines]

    def want(self, wish: Wish) -> None:
        with self.news:
            self.wish = wish
            self.news.notify_all()

    def claim_next(self, request: ClaimRequest) -> Claim | None:
        self.fail()
        if not self.is_queued:
            return None
        self.is_queued = False
        return Claim(
            run_id=RUN,
            attempt=self.attempt,
            gpus=self.gpus,
            config=self.config,
            transfer=self.transfer,
            dataset=DatasetLocation(name="mini", pack_sha256="c0ffee"),
            checkpoints=self.checkpoints,
            lease_seconds=self.lease_seconds,
        )

    def wait_for_wish(self, run_id: str, attempt: int, known: Wish, *, seconds: float) -> Wish:
        if not self.can_be_waited_for:
            raise BackendUnreachableError("away")
        with self.news:
            self.news.wait_for(lambda: self.wish != known, timeout=min(seconds, 0.5))
            return self.wish

    def post_events(self, run_id: str, batch: EventBatch) -> LeaseAnswer:
        self.fail()
        self.batches.append(batch)
        self.times.append(time.monotonic())
        return LeaseAnswer(wish=self.wish, last_seq=max(self.seqs, default=0))

    def upload_artifact(self, run_id: str, attempt: int, name: str, content: bytes) -> None:
        self.fail()
        self.files[name] = content

    def end_attempt(self, run_id: str, end: AttemptEnd) -> RunRead:
        self.fail()
        self.end = end
        return a_run(run_id)


class Bench:
    """A place to supervise at, whose training process is a script."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.backend = FakeBackend()
        self.draining = threading.Event()
        self.slots_per_gpu = 1
        monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.01)
        monkeypatch.setattr(supervisor, "SHIP_SECONDS", 0.05)
        monkeypatch.setattr(backend_link, "TICK_SECONDS", 0.01)
        monkeypatch.setattr(backend_link, "FIRST_PAUSE", 0.05)
        monkeypatch.setattr(backend_link, "LONGEST_PAUSE", 0.1)

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / RUN

    def place(self, script: str) -> Workplace:
        path = self.folder / "trainer.py"
        path.write_text(PREAMBLE + textwrap.dedent(script))
        return Workplace(
            api=self.backend,
            watch=lambda: nullcontext(self.backend),
            worker_id="host-1",
            slots_per_gpu=self.slots_per_gpu,
            runs_dir=self.folder / "runs",
            packs_dir=self.folder / "packs",
            is_draining=self.draining.is_set,
            command=(sys.executable, str(path)),
        )

    def supervise(self, script: str) -> AttemptEnd | None:
        """Work through a queue of one run. Returns the end that the backend holds."""
        self.backend.is_queued = True
        work_through_queue(self.place(script), lambda: None)
        return self.backend.end

    @contextmanager
    def supervising(self, script: str) -> Iterator[None]:
        """Supervise in a thread while the block goes on, and to the end."""
        thread = threading.Thread(target=self.supervise, args=(script,))
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def wait_for_file(self, name: str) -> None:
        """Wait until the script has made this file in its run directory."""
        wait_until((self.run_dir / name).exists)

    def wait_for_phase(self) -> None:
        """Wait until the backend knows the phase of the run."""
        wait_until(lambda: self.backend.seqs)

    def trainer_pid(self) -> int:
        return int((self.run_dir / "pid").read_text())
