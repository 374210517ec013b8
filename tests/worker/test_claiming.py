"""Taking runs: one after the other until there is none, after a beat where the backend asks for one."""

from contextlib import nullcontext

import pytest

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.runs import AttemptEnd, ClaimRequest
from backend.contracts.workers import WorkerBeat
from tests.worker.bench import Bench, problem
from worker import tasks
from worker.beat import WORKER_ID
from worker.claiming import work_through_queue

SUCCEED = 'write("end", outcome="succeeded")'


def test_runs_are_taken_until_there_is_none(bench: Bench):
    taken: list[int] = []
    claim_next = bench.backend.claim_next

    def one_of_three(request: object):
        bench.backend.attempt = len(taken) + 1
        bench.backend.is_queued = len(taken) < 3
        claim = claim_next(request)
        if claim:
            taken.append(claim.attempt)
        return claim

    bench.backend.claim_next = one_of_three
    bench.supervise(SUCCEED)
    assert taken == [1, 2, 3]
    assert bench.backend.end == AttemptEnd(attempt=3, outcome="succeeded")


def test_a_worker_that_the_backend_does_not_know_beats_and_asks_once_more(bench: Bench):
    beats: list[str] = []

    def unknown_until_it_beats() -> None:
        if not beats:
            raise problem(409)

    bench.backend.fail = unknown_until_it_beats
    work_through_queue(bench.place(SUCCEED), lambda: beats.append("beat"))
    assert beats == ["beat"]
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="succeeded")


@pytest.mark.parametrize(
    ("error", "asked"), [(problem(409), 2), (problem(403), 1), (problem(503), 1), (BackendUnreachableError("away"), 1)]
)
def test_a_run_that_cannot_be_claimed_is_left_to_the_backend(
    bench: Bench, error: ApiError | BackendUnreachableError, asked: int
):
    times = 0

    def refuse() -> None:
        nonlocal times
        times += 1
        raise error

    bench.backend.fail = refuse
    bench.supervise(SUCCEED)
    assert times == asked
    assert not bench.run_dir.exists()


def test_a_worker_that_shuts_down_takes_no_run(bench: Bench):
    bench.draining.set()
    bench.supervise(SUCCEED)
    assert bench.backend.is_queued


@pytest.mark.parametrize("message", [["r1"], []])
def test_a_message_is_a_hint_whatever_it_says(monkeypatch: pytest.MonkeyPatch, message: list[str]):
    beats: list[WorkerBeat] = []
    asked: list[str] = []

    class Backend:
        def beat(self, beat: WorkerBeat) -> None:
            beats.append(beat)

        def claim_next(self, request: ClaimRequest) -> None:
            asked.append(request.worker_id)
            if not beats:
                raise problem(409)

    monkeypatch.setattr(tasks.Client, "connect", lambda *_, **__: nullcontext(Backend()))
    tasks.train_run.run(*message)
    assert asked == [WORKER_ID, WORKER_ID]
    assert [beat.id for beat in beats] == [WORKER_ID]
