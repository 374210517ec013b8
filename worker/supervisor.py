"""One attempt at a run: claim it, start the training process, ship what it writes, end the attempt.

The training process knows its run directory only; this module is its link to the backend. With the backend away
training goes on and the log on disk is the queue: everything is shipped, in order, when the backend is back.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.events import ArtifactEvent, EndEvent, Event
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead
from worker.event_tail import EventTail
from worker.trainer import COMMAND, Trainer

T = TypeVar("T")
LOG = logging.getLogger(__name__)
BATCH = 500
"""Events in one post, at most."""
SHIP_SECONDS = 0.5
"""Pause between two posts while something happens."""
TICK_SECONDS = 0.1
LONGEST_PAUSE = 5.0
FAREWELL_SECONDS = 10.0
"""How long a worker that shuts down goes on trying to reach a backend that is away."""


class RunsApi(Protocol):
    """The part of ``backend.client.Client`` that supervising needs."""

    def claim(self, run_id: str, request: ClaimRequest) -> Claim: ...
    def post_events(self, run_id: str, batch: EventBatch) -> LeaseAnswer: ...
    def upload_artifact(self, run_id: str, attempt: int, name: str, content: bytes) -> None: ...
    def end_attempt(self, run_id: str, end: AttemptEnd) -> RunRead: ...


class LeaseLostError(Exception):
    """The run is not ours any more: it was given to another attempt, or deleted."""


class RefusedError(Exception):
    """The backend will never take what we send: the attempt cannot go on."""


class GivenUpError(Exception):
    """The worker shuts down and the backend does not answer: the lease will bring the run back."""


@dataclass(frozen=True)
class Workplace:
    """What supervising needs besides the run: the backend, the folders, and whether the worker shuts down."""

    api: RunsApi
    worker_id: str
    runs_dir: Path
    packs_dir: Path
    is_draining: Callable[[], bool]
    command: Sequence[str] = COMMAND


def supervise(run_id: str, place: Workplace) -> None:
    """Claim a run and see it to the end of this attempt. Returns at once where there is nothing to claim."""
    claim = _claim(run_id, place)
    if claim is None:
        return
    LOG.info("run %s: attempt %d starts", run_id, claim.attempt)
    run_dir = place.runs_dir / run_id
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        with (
            EventTail(run_dir / "events.jsonl", claim.attempt) as tail,
            Trainer(claim, run_dir, place.packs_dir, place.command) as trainer,
        ):
            outcome = Attempt(claim, place, tail, trainer).follow()
        LOG.info("run %s: attempt %d %s", run_id, claim.attempt, outcome)
    except LeaseLostError as error:
        LOG.warning("run %s: attempt %d lost the lease and was killed: %s", run_id, claim.attempt, error)
    except GivenUpError:
        LOG.warning("run %s: shutting down without the backend; the run goes on when its lease is over", run_id)


def _claim(run_id: str, place: Workplace) -> Claim | None:
    """The lease, or None where the message is to be dropped; the backend sends it again if the run still waits."""
    try:
        return place.api.claim(run_id, ClaimRequest(worker_id=place.worker_id))
    except ApiError as error:
        if error.status not in {404, 409}:
            LOG.error("run %s: cannot be claimed: %s", run_id, error)  # noqa: TRY400 (the answer says it all)
        return None
    except BackendUnreachableError as error:
        LOG.warning("run %s: cannot be claimed now: %s", run_id, error)
        return None


class Attempt:
    """A claimed run, its training process and what of its log the backend has."""

    def __init__(self, claim: Claim, place: Workplace, tail: EventTail, trainer: Trainer) -> None:
        self._claim, self._place, self._tail, self._trainer = claim, place, tail, trainer
        self._unshipped: list[Event] = []
        self._artifacts: list[ArtifactEvent] = []
        self._end: EndEvent | None = None
        self._told: set[Literal["stop", "drain"]] = set()
        self._next_ship = 0.0
        self._renewal_due = 0.0
        self._pause = SHIP_SECONDS
        self._give_up_at: float | None = None

    def follow(self) -> str:
        """Ship until the training process is over, then its files and its end. Returns the outcome.

        Raises LeaseLostError or GivenUpError.
        """
        try:
            self._ship_all()
            report = self._report()
            if report.outcome == "succeeded":
                self._upload_artifacts()
        except RefusedError as error:
            self._trainer.kill()
            report = AttemptEnd(attempt=self._claim.attempt, outcome="failed", error=f"The backend refused: {error}")
        self._insist(lambda: self._place.api.end_attempt(self._claim.run_id, report))
        return report.outcome

    def _ship_all(self) -> None:
        """Ship until the training process is over and its whole log is with the backend."""
        while True:
            ended = self._trainer.has_ended  # asked before reading: what it wrote until then is in the log
            self._read()
            if self._place.is_draining():
                self._tell("drain")
            if self._unshipped or time.monotonic() >= self._renewal_due:
                self._ship()
            if ended and not self._unshipped and not self._read():
                return
            time.sleep(TICK_SECONDS)

    def _read(self) -> bool:
        """Take events from the log, but no more than a batch ahead of the backend. Whether there were any."""
        if len(self._unshipped) >= BATCH:
            return True
        fresh = self._tail.read()
        self._unshipped += fresh
        for event in fresh:
            if isinstance(event, ArtifactEvent):
                self._artifacts.append(event)
            elif isinstance(event, EndEvent):
                self._end = event
        return bool(fresh)

    def _ship(self) -> None:
        """Post a batch, which renews the lease and brings the wish back; not before the pause is over."""
        now = time.monotonic()
        if now < self._next_ship:
            return
        attempt, events = self._claim.attempt, self._unshipped[:BATCH]
        answer = self._try(
            lambda: self._place.api.post_events(self._claim.run_id, EventBatch(attempt=attempt, events=events))
        )
        if answer is None:
            return
        del self._unshipped[: len(events)]
        self._renewal_due = now + min(1.0, self._claim.lease_seconds / 4)
        self._next_ship = now if self._unshipped else now + SHIP_SECONDS
        if answer.wish == "stop":
            self._tell("stop")

    def _tell(self, wish: Literal["stop", "drain"]) -> None:
        if wish not in self._told:
            self._told.add(wish)
            self._trainer.tell(wish)

    def _report(self) -> AttemptEnd:
        if self._end is not None:
            return AttemptEnd(attempt=self._claim.attempt, outcome=self._end.outcome, error=self._end.error)
        outcome, error = self._trainer.failure()
        return AttemptEnd(attempt=self._claim.attempt, outcome=outcome, error=error)

    def _upload_artifacts(self) -> None:
        run_id, attempt = self._claim.run_id, self._claim.attempt
        folder = self._place.runs_dir / run_id / "artifacts"
        for artifact in self._artifacts:
            content = (folder / artifact.name).read_bytes()
            name = artifact.name
            self._insist(lambda: self._place.api.upload_artifact(run_id, attempt, name, content))  # noqa: B023

    def _insist(self, call: Callable[[], object]) -> None:
        """Repeat a call until the backend has answered it. Raises LeaseLostError or GivenUpError."""
        while True:
            if self._place.is_draining():
                self._tell("drain")
            if time.monotonic() >= self._next_ship and self._try(lambda: (call(),)) is not None:
                return
            time.sleep(TICK_SECONDS)

    def _try(self, call: Callable[[], T]) -> T | None:
        """The answer, or None and a growing pause where the backend is away or in trouble.

        Raises LeaseLostError, RefusedError, or GivenUpError where the worker shuts down and has waited long enough.
        """
        try:
            answer = call()
        except ApiError as error:
            if error.status in {404, 409}:
                raise LeaseLostError(str(error)) from error
            if error.status < 500 and error.status not in {401, 403, 408, 429}:
                raise RefusedError(str(error)) from error
            self._back_off(error)
        except BackendUnreachableError as error:
            self._back_off(error)
        else:
            self._pause, self._give_up_at = SHIP_SECONDS, None
            return answer
        return None

    def _back_off(self, error: Exception) -> None:
        now = time.monotonic()
        if self._place.is_draining():
            self._give_up_at = self._give_up_at or now + FAREWELL_SECONDS
            if now >= self._give_up_at and self._trainer.has_ended:
                raise GivenUpError from error
        if self._pause == SHIP_SECONDS:
            LOG.warning("run %s goes on; the backend does not take its events now: %s", self._claim.run_id, error)
        self._next_ship = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
