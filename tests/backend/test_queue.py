"""The queue as people see it: its order, moving a run in it, and what a run waits for."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.runs import AttemptEnd, ClaimRequest, QueueMove, RunCreate, RunPatch
from backend.db.models import Worker
from backend.db.types import utc_now
from backend.services import run_queue, runs
from backend.services.lab import Lab
from tests.claiming import claim
from tests.examples import a_beat


def launch(client: Client, gpus: int = 0, **values: Any) -> str:
    config = {"training": {"batch_size": 240}, "resources": {"gpus": gpus}}
    return client.launch_run(RunCreate.model_validate({"config": config} | values)).id


def order(client: Client) -> list[str]:
    return [run.id for run in client.queue()]


def waits_for(client: Client, run_id: str) -> tuple[bool, str]:
    place = client.queue_place(run_id)
    return place.can_be_served, place.reason


def test_the_queue_is_in_the_order_in_which_workers_get_its_runs(client: Client) -> None:
    first, second, urgent, gone = (launch(client), launch(client), launch(client, priority=9), launch(client))
    client.stop_run(gone)
    assert order(client) == [urgent, first, second]
    client.patch_run(second, RunPatch(priority=10))
    assert order(client) == [second, urgent, first]
    assert [client.queue_place(run_id).position for run_id in (second, urgent, first)] == [1, 2, 3]
    client.beat(a_beat("w-1", slots_per_gpu=9))
    claims = [client.claim_next(ClaimRequest(worker_id="w-1")) for _ in range(3)]
    assert [one.run_id for one in claims if one] == [second, urgent, first]


def test_a_run_moves_before_another_one_or_to_the_end(client: Client) -> None:
    a, b, c, d = (launch(client) for _ in range(4))
    client.move_run(d, before=b)
    assert order(client) == [a, d, b, c]
    client.move_run(c, before=a)
    assert order(client) == [c, a, d, b]
    client.move_run(a)
    assert order(client) == [c, d, b, a]
    client.move_run(b, before=b)
    assert order(client) == [c, d, b, a]
    later = launch(client)
    assert order(client) == [c, d, b, a, later]


def test_a_moved_run_takes_over_the_priority_of_its_neighbour(client: Client) -> None:
    high, low, run_id = launch(client, priority=5), launch(client, priority=-5), launch(client)
    assert client.move_run(run_id, before=high).priority == 5
    assert order(client) == [run_id, high, low]
    assert client.move_run(run_id).priority == -5
    assert order(client) == [high, low, run_id]
    assert client.move_run(run_id, before=low).priority == -5
    assert order(client) == [high, run_id, low]


def test_the_only_run_can_be_moved_to_the_end(client: Client) -> None:
    run_id = launch(client)
    client.move_run(run_id)
    assert order(client) == [run_id]


def test_hundreds_of_moves_to_the_same_place_keep_the_order_and_what_is_launched_then_is_last(lab: Lab) -> None:
    ids = [runs.launch(lab, RunCreate()).id for _ in range(3)]
    expected = list(ids)
    for _ in range(150):  # halving a gap of any length leaves no number between after some fifty
        moved = expected.pop(0)
        expected.insert(1, moved)
        run_queue.move(lab, moved, QueueMove(before=expected[2]))
        assert [run.id for run in run_queue.listed(lab)] == expected
    last = runs.launch(lab, RunCreate()).id
    assert [run.id for run in run_queue.listed(lab)] == [*expected, last]


def test_many_moves_at_once_lose_no_run(lab: Lab) -> None:
    ids = [runs.launch(lab, RunCreate()).id for _ in range(6)]
    source = random.Random(7)
    moves = [source.sample(ids, 2) for _ in range(30)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda move: run_queue.move(lab, move[0], QueueMove(before=move[1])), moves))
    queue = run_queue.listed(lab)
    assert sorted(run.id for run in queue) == ids
    with lab.database.read() as session:
        ranks: Sequence[float] = [runs.get(session, run.id).rank for run in queue]
    assert len(set(ranks)) == len(ids)


def test_only_what_waits_has_a_place(client: Client, http: httpx.Client) -> None:
    running, queued = launch(client), launch(client)
    claim(client, running)
    for call in (lambda: client.queue_place(running), lambda: client.move_run(running, before=queued)):
        with pytest.raises(ApiError, match="not queued") as error:
            call()
        assert error.value.status == 409
    with pytest.raises(ApiError) as error:
        client.move_run(queued, before=running)
    assert (error.value.status, error.value.problem.errors[0].field) == (422, "before")
    assert http.get("/runs/no-such/queue").status_code == 404
    assert http.post("/runs/no-such/move", json={}).status_code == 404


def test_without_a_worker_it_says_how_to_start_one(client: Client, lab: Lab) -> None:
    run_id = launch(client)
    assert waits_for(client, run_id) == (
        False,
        "No worker is running: start one with `make up` or `python -m worker.start`.",
    )
    client.beat(a_beat("w-1"))
    assert waits_for(client, run_id) == (True, "It starts as soon as a worker asks.")
    with lab.database.write() as session:
        session.execute(update(Worker).values(last_seen=utc_now() - timedelta(minutes=1)))
    assert waits_for(client, run_id)[0] is False


def test_a_run_that_no_worker_could_ever_serve_says_what_is_missing(client: Client) -> None:
    run_id = launch(client, 4)
    client.beat(a_beat("w-1"))
    assert waits_for(client, run_id) == (False, "It needs 4 GPUs; no worker has one.")
    client.beat(a_beat("w-2", gpus=2))
    assert waits_for(client, run_id) == (False, "It needs 4 GPUs; the largest worker has 2.")
    client.beat(a_beat("w-3", gpus=4))
    assert waits_for(client, run_id) == (True, "It starts as soon as a worker asks.")


def test_a_run_whose_workers_drain_or_are_full_says_so(client: Client) -> None:
    run_id = launch(client)
    client.beat(a_beat("w-1"))
    client.drain_worker("w-1")
    assert waits_for(client, run_id) == (
        False,
        "Every worker that could take it is draining: let one take runs again on the Workers page.",
    )
    client.beat(a_beat("w-2", disk_free_bytes=1000))
    assert waits_for(client, run_id) == (
        False,
        "The disk is full on every worker that could take it: it goes on when there is room.",
    )
    client.undrain_worker("w-1")
    assert waits_for(client, run_id) == (True, "It starts as soon as a worker asks.")
    with pytest.raises(ApiError) as error:
        client.drain_worker("no-such")
    assert error.value.status == 404


def test_a_run_behind_others_counts_those_that_will_be_served_before_it(client: Client) -> None:
    client.beat(a_beat("w-1", gpus=2))
    too_large, large, small, last = launch(client, 8), launch(client, 2), launch(client), launch(client)
    assert waits_for(client, too_large)[0] is False
    assert waits_for(client, large) == (True, "It starts as soon as a worker asks.")
    assert waits_for(client, small) == (True, "1 run is ahead of it.")
    assert waits_for(client, last) == (True, "2 runs are ahead of it.")
    assert client.queue_place(last).position == 4


def test_the_next_run_says_what_it_waits_for_while_workers_are_busy(client: Client) -> None:
    client.beat(a_beat("w-1", gpus=2))
    busy, large = launch(client), launch(client, 2)
    worker = ClaimRequest(worker_id="w-1")
    assert client.claim_next(worker) is not None
    assert waits_for(client, large) == (True, "It is next, and waits for 2 free GPUs on one worker.")
    assert client.claim_next(worker) is None
    client.end_attempt(busy, AttemptEnd(attempt=1, outcome="succeeded"))
    assert waits_for(client, large) == (True, "It starts as soon as a worker asks.")
    assert client.claim_next(worker) is not None


def test_a_run_that_is_lost_goes_back_to_its_old_place_and_a_resumed_one_to_the_end(client: Client, lab: Lab) -> None:
    lost, resumed, waiting = launch(client), launch(client), launch(client)
    claim(client, lost)
    client.end_attempt(lost, AttemptEnd(attempt=1, outcome="crashed"))
    client.stop_run(resumed)
    client.resume_run(resumed)
    assert order(client) == [lost, waiting, resumed]
    with lab.database.read() as session:
        assert runs.get(session, lost).rank < runs.get(session, waiting).rank
