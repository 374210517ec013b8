"""Which run a worker gets: the choice as a rule, and claims on real databases, several at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, RunCreate
from backend.contracts.studies import Axis, AxisPoint, StudyCreate
from backend.db.models import Worker
from backend.db.types import utc_now
from backend.services import attempts, runs, scheduling, studies, workers
from backend.services.lab import Lab
from backend.services.offers import Offer
from backend.services.scheduling import WaitingRun, choose
from tests.examples import GIB, a_beat


def launch(lab: Lab, gpus: int = 0, **values: Any) -> str:
    config = {"training": {"batch_size": 240}, "resources": {"gpus": gpus}}
    return runs.launch(lab, RunCreate.model_validate({"config": config} | values)).id


def claim(lab: Lab, worker_id: str = "w-1") -> Claim | None:
    return scheduling.claim(lab, ClaimRequest(worker_id=worker_id))


def claimed(lab: Lab, worker_id: str = "w-1") -> tuple[str, list[int]] | None:
    found = claim(lab, worker_id)
    return None if found is None else (found.run_id, found.gpus)


def end(lab: Lab, run_id: str) -> None:
    attempts.end(lab, run_id, AttemptEnd(attempt=runs.read(lab, run_id).attempts, outcome="succeeded"))


# The rule


class Machine:
    """A worker as a slow and plain model: a list of the runs on each GPU."""

    def __init__(self, gpus: int, slots: int) -> None:
        self.on_gpu: dict[int, list[str]] = {gpu: [] for gpu in range(gpus)}
        self.on_processor: list[str] = []
        self.slots = slots

    @property
    def offer(self) -> Offer:
        load = {gpu: len(there) for gpu, there in self.on_gpu.items()}
        everything = {*self.on_processor, *(run for there in self.on_gpu.values() for run in there)}
        return Offer(slots=self.slots, load=load, runs=len(everything))

    def start(self, run_id: str, gpus: list[int]) -> None:
        for there in [self.on_gpu[gpu] for gpu in gpus] or [self.on_processor]:
            there.append(run_id)

    def end(self, run_id: str) -> None:
        for there in [*self.on_gpu.values(), self.on_processor]:
            if run_id in there:
                there.remove(run_id)

    def running(self) -> list[str]:
        return sorted({run for there in [*self.on_gpu.values(), self.on_processor] for run in there})


@given(
    gpus=st.integers(0, 4),
    slots=st.integers(1, 3),
    needs=st.lists(st.integers(0, 5), max_size=12),
    steps=st.lists(st.tuples(st.sampled_from(["ask", "end"]), st.integers(0, 100)), max_size=60),
)
def test_slots_are_never_overfilled_the_order_is_kept_and_no_run_starves(
    gpus: int, slots: int, needs: list[int], steps: list[tuple[str, int]]
) -> None:
    machine = Machine(gpus, slots)
    queue = [WaitingRun(f"r{place:02}", need) for place, need in enumerate(needs)]
    able = [run for run in queue if run.gpus <= gpus]
    started: list[WaitingRun] = []

    def ask() -> None:
        chosen = choose(machine.offer, [run for run in queue if run not in started])
        waiting = [run for run in able if run not in started]
        if chosen is None:
            room = [gpu for gpu, there in machine.on_gpu.items() if len(there) < slots]
            if waiting and gpus:
                assert len(room) < max(1, waiting[0].gpus), "it had room for the first run and refused it"
            elif waiting:
                assert len(machine.on_processor) == slots
            return
        run, given_gpus = chosen
        assert run == waiting[0], "a run was passed over"
        assert len(set(given_gpus)) == len(given_gpus) == (max(1, run.gpus) if gpus else 0)
        idlest = sorted(len(there) for there in machine.on_gpu.values())[: len(given_gpus)]
        assert sorted(len(machine.on_gpu[gpu]) for gpu in given_gpus) == idlest
        machine.start(run.id, given_gpus)
        started.append(run)
        assert all(len(there) <= slots for there in [*machine.on_gpu.values(), machine.on_processor])

    for step, number in steps:
        if step == "ask":
            ask()
        elif running := machine.running():
            machine.end(running[number % len(running)])
    while len(started) < len(able):  # whatever happened: as runs end, every run that it could serve gets its turn
        before = len(started)
        ask()
        if len(started) == before:
            machine.end(machine.running()[0])
    assert started == able


@pytest.mark.parametrize("closed", [{"is_draining": True}, {"has_space": False}])
def test_a_worker_that_drains_or_has_no_space_gets_nothing(closed: dict[str, bool]) -> None:
    queue = [WaitingRun("r", 0)]
    assert choose(Offer(slots=1, load={}, runs=0), queue) == (queue[0], [])
    assert choose(Offer(slots=1, load={}, runs=0, **closed), queue) is None


# Claims


def test_higher_priority_goes_first_then_the_earlier_launch(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1", slots_per_gpu=9))
    first, second, urgent = launch(lab), launch(lab), launch(lab, priority=5)
    assert [claimed(lab) for _ in range(4)] == [(urgent, []), (first, []), (second, []), None]


def test_a_run_of_two_gpus_waits_for_both_and_nothing_passes_it(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1", gpus=2))
    small, large, later = launch(lab), launch(lab, 2), launch(lab)
    assert claimed(lab) == (small, [0])
    assert claimed(lab) is None
    end(lab, small)
    assert claimed(lab) == (large, [0, 1])
    assert claimed(lab) is None
    end(lab, large)
    assert claimed(lab) == (later, [0])
    assert runs.read(lab, later).gpus == [0]


def test_a_run_too_large_for_this_worker_is_left_to_others(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1", gpus=1))
    workers.beat(lab, a_beat("w-2", gpus=4))
    large, small = launch(lab, 3), launch(lab)
    assert claimed(lab, "w-1") == (small, [0])
    assert claimed(lab, "w-2") == (large, [0, 1, 2])


def test_slots_of_a_gpu_are_shared_and_the_least_loaded_comes_first(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1", gpus=2, slots_per_gpu=2))
    ids = [launch(lab) for _ in range(5)]
    assert [claimed(lab) for _ in ids] == [(ids[0], [0]), (ids[1], [1]), (ids[2], [0]), (ids[3], [1]), None]
    end(lab, ids[1])
    assert claimed(lab) == (ids[4], [1])


def test_a_stopping_run_keeps_its_slot_until_its_attempt_ends(lab: Lab) -> None:
    workers.beat(lab, a_beat("w-1"))
    first, second = launch(lab), launch(lab)
    claim(lab)
    runs.stop(lab, first)
    assert claimed(lab) is None
    attempts.end(lab, first, AttemptEnd(attempt=1, outcome="stopped"))
    assert claimed(lab) == (second, [])


def test_a_worker_without_space_gets_nothing_until_there_is_room(lab: Lab) -> None:
    run_id = launch(lab)
    workers.beat(lab, a_beat("w-1", disk_free_bytes=lab.settings.min_free_bytes - 1))
    assert claimed(lab) is None
    workers.beat(lab, a_beat("w-1", disk_free_bytes=lab.settings.min_free_bytes))
    assert lab.settings.min_free_bytes == GIB
    assert claimed(lab) == (run_id, [])


def test_a_worker_that_is_unknown_or_was_silent_must_beat_first(client: Client, lab: Lab) -> None:
    launch(lab)
    silent = a_beat("silent")
    workers.beat(lab, silent)
    with lab.database.write() as session:
        session.execute(update(Worker).values(last_seen=utc_now() - timedelta(minutes=1)))
    for worker_id in ("unknown", "silent"):
        with pytest.raises(ApiError, match="beat first") as error:
            client.claim_next(ClaimRequest(worker_id=worker_id))
        assert error.value.status == 409
    client.beat(silent)
    assert client.claim_next(ClaimRequest(worker_id="silent")) is not None


def test_where_there_is_nothing_the_answer_is_204_without_a_body(client: Client, http: httpx.Client) -> None:
    client.beat(a_beat("w-1"))
    answer = http.post("/worker/claim", json={"worker_id": "w-1"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.claim_next(ClaimRequest(worker_id="w-1")) is None


def test_of_many_claims_at_once_no_run_and_no_slot_is_handed_out_twice(lab: Lab) -> None:
    for number in range(3):
        workers.beat(lab, a_beat(f"w-{number}", gpus=2, slots_per_gpu=2))
    ids = [launch(lab) for _ in range(10)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: (number % 3, claim(lab, f"w-{number % 3}")), range(24)))
    claims = [(worker, one) for worker, one in found if one is not None]
    assert sorted(one.run_id for _, one in claims) == ids
    taken = [(worker, gpu) for worker, one in claims for gpu in one.gpus]
    assert len(taken) == 10
    assert max(taken.count(place) for place in taken) <= 2
    for run_id in ids:
        assert len(runs.transitions(lab, run_id)) == 2


def test_of_several_workers_that_claim_one_run_at_once_exactly_one_gets_it(lab: Lab) -> None:
    for number in range(8):
        workers.beat(lab, a_beat(f"w-{number}"))
    run_id = launch(lab)
    with ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(lambda number: claim(lab, f"w-{number}"), range(8)) if one is not None]
    assert [(one.run_id, one.attempt) for one in found] == [(run_id, 1)]
    assert len(runs.transitions(lab, run_id)) == 2


def test_a_study_that_is_stopped_while_workers_claim_stops_as_a_whole(lab: Lab) -> None:
    for number in range(4):
        workers.beat(lab, a_beat(f"w-{number}", slots_per_gpu=5))
    points = [AxisPoint(label=str(value), set={"loss.temperature": value}) for value in (0.1, 0.2, 0.5, 1.0)]
    request = StudyCreate(
        name="grid", base=ExperimentConfig(), axes=[Axis(name="t", points=points)], seeds=[0, 1, 2], priority=3
    )
    study = studies.launch(lab, request)
    assert {result.run.priority for result in studies.results(lab, study.id).results} == {3}
    with ThreadPoolExecutor(8) as pool:
        claims = [pool.submit(claim, lab, f"w-{number % 4}") for number in range(6)]
        stopping = pool.submit(studies.stop, lab, study.id)
        claims += [pool.submit(claim, lab, f"w-{number % 4}") for number in range(6)]
        stopping.result()
        got = [one.result() for one in claims]
    counts = studies.read(lab, study.id).states
    assert counts.get("stopping", 0) == len([one for one in got if one is not None])
    assert counts.get("stopping", 0) + counts.get("stopped", 0) == 12
