"""One attempt at a run: start the training process, ship what it writes, pass on what is wanted, end the attempt.

The training process knows its run directory only; this module is its link to the backend. With the backend away
training goes on and the log on disk is the queue: everything is shipped, in order, when the backend is back.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backend.contracts.events import ArtifactEvent, EndEvent, Event, Phase, PhaseEvent
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead
from worker.backend_link import TICK_SECONDS, BackendLink, GivenUpError, LeaseLostError, RefusedError
from worker.event_tail import EventTail
from worker.load_meter import LoadMeter
from worker.orders import Orders
from worker.output_tail import OutputTail
from worker.trainer import COMMAND, Trainer
from worker.trainer_environment import trainer_environment
from worker.wish_watch import WishesApi, WishWatch

LOG = logging.getLogger(__name__)
BATCH = 500
"""Events in one post, at most."""
SHIP_SECONDS = 0.5
"""Pause between two posts while something happens."""
RENEWAL_SECONDS = 1.0
"""Between two posts while nothing happens, at most."""


class RunsApi(Protocol):
    """The part of ``backend.client.Client`` that claiming and supervising need."""

    def claim_next(self, request: ClaimRequest) -> Claim | None: ...
    def post_events(self, run_id: str, batch: EventBatch) -> LeaseAnswer: ...
    def upload_artifact(self, run_id: str, attempt: int, name: str, content: bytes) -> None: ...
    def end_attempt(self, run_id: str, end: AttemptEnd) -> RunRead: ...


@dataclass(frozen=True)
class Workplace:
    """What supervising needs besides the run. ``watch`` opens the connection on which wishes are waited for."""

    api: RunsApi
    watch: Callable[[], AbstractContextManager[WishesApi]]
    worker_id: str
    slots_per_gpu: int
    runs_dir: Path
    packs_dir: Path
    is_draining: Callable[[], bool]
    command: Sequence[str] = COMMAND


def supervise(claim: Claim, place: Workplace) -> None:
    """See a claimed run to the end of this attempt."""
    LOG.info("run %s: attempt %d starts", claim.run_id, claim.attempt)
    try:
        outcome = _train(claim, place)
        LOG.info("run %s: attempt %d %s", claim.run_id, claim.attempt, outcome)
    except LeaseLostError as error:
        LOG.warning("run %s: attempt %d lost the lease and was killed: %s", claim.run_id, claim.attempt, error)
    except GivenUpError:
        LOG.warning("run %s: shutting down without the backend; the run goes on when its lease is over", claim.run_id)


def _train(claim: Claim, place: Workplace) -> str:
    """The outcome of the attempt, which the backend has. Raises LeaseLostError or GivenUpError."""
    run_dir = place.runs_dir / claim.run_id
    environment = trainer_environment(os.environ, claim, place.slots_per_gpu)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        with (
            EventTail(run_dir / "events.jsonl", claim.attempt) as events,
            Trainer(claim, run_dir, place.packs_dir, environment=environment, command=place.command) as trainer,
            OutputTail(trainer.output) as output,
            LoadMeter(trainer.pid, claim.gpus) as load,
        ):
            orders = Orders(trainer)
            with WishWatch(claim, place.watch, orders.give):
                return Attempt(claim, place, trainer, orders, events, output, load).follow()
    except OSError as error:
        end = _unfit_disk(claim.attempt, error)
    BackendLink(claim.run_id, place.is_draining).insist(lambda: place.api.end_attempt(claim.run_id, end))
    return end.outcome


def _unfit_disk(attempt: int, error: OSError) -> AttemptEnd:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        words = "The disk of the worker is full: make room, for instance by deleting runs."
        return AttemptEnd(attempt=attempt, outcome="no_space", error=words)
    words = f"The worker cannot use the run's files: {error.strerror or error}."
    return AttemptEnd(attempt=attempt, outcome="crashed", error=words)


class Attempt:
    """A claimed run, its training process and what of its log the backend has."""

    def __init__(
        self,
        claim: Claim,
        place: Workplace,
        trainer: Trainer,
        orders: Orders,
        events: EventTail,
        output: OutputTail,
        load: LoadMeter,
    ) -> None:
        self._claim, self._place, self._trainer, self._orders = claim, place, trainer, orders
        self._events, self._output, self._load = events, output, load
        self._link = BackendLink(claim.run_id, lambda: place.is_draining() and self._is_over)
        self._phase: Phase = "loading"
        self._unshipped: list[Event] = []
        self._artifacts: list[ArtifactEvent] = []
        self._end: EndEvent | None = None
        self._was_cut_short = False
        self._next_ship = self._renewal_due = 0.0

    def follow(self) -> str:
        """Ship until training is over, then its files and its end. Returns the outcome.

        Does not wait for the process to leave once it has said how it ended. Raises LeaseLostError or GivenUpError.
        """
        try:
            self._ship_all()
            report = self._report()
            if report.outcome == "succeeded":
                self._upload_artifacts()
        except RefusedError as error:
            self._trainer.kill()
            report = AttemptEnd(attempt=self._claim.attempt, outcome="failed", error=f"The backend refused: {error}")
        self._link.insist(lambda: self._place.api.end_attempt(self._claim.run_id, report))
        return report.outcome

    @property
    def _is_over(self) -> bool:
        return self._end is not None or self._trainer.has_ended

    def _ship_all(self) -> None:
        """Ship until training is over and its whole log, and what it printed, is with the backend."""
        while True:
            over = self._is_over  # asked before reading: what it wrote until then is in the log
            self._read()
            self._output.collect(last=over)
            if self._place.is_draining():
                self._orders.give("drain")
            self._ship(at_once=self._is_over)
            if over and not self._unshipped and self._output.is_posted and not self._read():
                return
            if not over and self._orders.are_overdue(self._phase):
                self._trainer.kill()
                self._was_cut_short = True
            time.sleep(TICK_SECONDS)

    def _read(self) -> bool:
        """Take events from the log, but no more than a batch ahead of the backend. Whether there were any."""
        if len(self._unshipped) >= BATCH:
            return True
        fresh = self._events.read()
        self._unshipped += fresh
        for event in fresh:
            match event:
                case PhaseEvent():
                    self._phase = event.phase
                case ArtifactEvent():
                    self._artifacts.append(event)
                case EndEvent():
                    self._end = event
                case _:
                    pass
        return bool(fresh)

    def _ship(self, *, at_once: bool) -> None:
        """Post what there is, after a pause or at once; that, or an empty post, renews the lease and brings the wish."""
        now = time.monotonic()
        events, output = self._unshipped[:BATCH], self._output.batch()
        is_worth_it = bool(events or output) and (at_once or now >= self._next_ship)
        if not is_worth_it and now < self._renewal_due:
            return
        batch = EventBatch(attempt=self._claim.attempt, events=events, output=output, system=self._load.take())
        answer = self._link.attempt(lambda: self._place.api.post_events(self._claim.run_id, batch))
        if answer is None:
            return
        del self._unshipped[: len(events)]
        self._output.confirm()
        self._renewal_due = now + min(RENEWAL_SECONDS, self._claim.lease_seconds / 4)
        self._next_ship = now if self._unshipped else now + SHIP_SECONDS
        self._orders.give(answer.wish)

    def _report(self) -> AttemptEnd:
        attempt, end = self._claim.attempt, self._end
        if end is not None:
            return AttemptEnd(attempt=attempt, outcome=end.outcome, error=end.error, remedy=end.remedy)
        if self._was_cut_short:
            return AttemptEnd(attempt=attempt, outcome="stopped" if self._orders.given == "stop" else "drained")
        outcome, error = self._trainer.failure(self._output.last_words)
        return AttemptEnd(attempt=attempt, outcome=outcome, error=error)

    def _upload_artifacts(self) -> None:
        run_id, attempt = self._claim.run_id, self._claim.attempt
        folder = self._place.runs_dir / run_id / "artifacts"
        for artifact in self._artifacts:
            content = (folder / artifact.name).read_bytes()
            name = artifact.name
            self._link.insist(lambda: self._place.api.upload_artifact(run_id, attempt, name, content))  # noqa: B023
