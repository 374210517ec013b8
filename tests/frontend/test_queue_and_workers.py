"""Reordering the queue, and what a worker's card says."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import get_args

import pytest

from backend.contracts.workers import WorkerRead
from frontend.components.queue_order import Direction, moves
from frontend.components.worker_card import badge, disk_is_low, drained, gpu_facts
from frontend.screens.queue import queue_rows
from tests.examples import a_beat, a_gpu, a_run


def moved(order: str, ticked: str, direction: Direction) -> str:
    """The order after the moves, each as the backend makes it."""
    queue = list(order)
    for one, before in moves(order, ticked, direction):
        queue.remove(one)
        queue.insert(len(queue) if before is None else queue.index(before), one)
    return "".join(queue)


@pytest.mark.parametrize(
    ("ticked", "direction", "order"),
    [
        ("d", "first", "dabce"),
        ("bd", "first", "bdace"),
        ("ac", "first", "acbde"),
        ("b", "last", "acdeb"),
        ("bd", "last", "acebd"),
        ("c", "up", "acbde"),
        ("cd", "up", "acdbe"),
        ("ab", "up", "abcde"),
        ("ac", "up", "acbde"),
        ("b", "down", "acbde"),
        ("bc", "down", "adbce"),
        ("d", "down", "abced"),
        ("de", "down", "abcde"),
        ("ce", "down", "abdce"),
        ("", "first", "abcde"),
        ("abcde", "last", "abcde"),
    ],
)
def test_ticked_runs_move_and_keep_their_order(ticked: str, direction: Direction, order: str):
    assert moved("abcde", ticked, direction) == order


@pytest.mark.parametrize("direction", get_args(Direction))
def test_no_run_is_lost_and_the_rest_keeps_its_order_whatever_is_ticked(direction: Direction):
    for size in range(5):
        for ticked in map("".join, combinations("abcd", size)):
            after = moved("abcd", ticked, direction)
            assert sorted(after) == list("abcd")
            assert [one for one in after if one not in ticked] == [one for one in "abcd" if one not in ticked]
            assert "".join(one for one in after if one in ticked) == ticked


def test_a_row_of_the_queue_says_where_a_run_stands_and_what_it_asks_for():
    rows = queue_rows([a_run("a", priority=5), a_run("b", config={"resources": {"gpus": 2}}, progress=0.3)])
    assert rows[["place", "priority", "gpus", "done"]].to_numpy().tolist() == [[1, 5, "any", 100], [2, 0, "2", 30]]


def worker(**values: object) -> WorkerRead:
    of_backend = {"alive": True, "draining": False, "last_seen": datetime.now(UTC), "run_ids": []}
    beat = a_beat().model_dump()
    return WorkerRead.model_validate(beat | of_backend | values)


def test_a_worker_is_alive_draining_or_silent_since():
    assert "alive" in badge(worker())
    assert "takes no runs" in badge(worker(draining=True))
    assert "silent for 2 min" in badge(worker(alive=False, last_seen=datetime.now(UTC) - timedelta(seconds=120)))


@pytest.mark.parametrize(
    ("free", "size", "is_low"), [(9e9, 2e12, True), (11e9, 2e12, False), (3e9, 20e9, False), (1.9e9, 20e9, True)]
)
def test_a_disk_is_low_below_ten_gigabytes_and_a_tenth(free: float, size: float, is_low: bool):
    assert disk_is_low(worker(disk_free_bytes=int(free), disk_bytes=int(size))) is is_low


def test_a_gpu_tells_what_its_driver_tells():
    assert gpu_facts(a_gpu()) == ""
    assert gpu_facts(a_gpu().model_copy(update={"celsius": 63.2, "watts": 412.0})) == "63 °C · 412 W"
    assert gpu_facts(a_gpu().model_copy(update={"watts": 0.0})) == "0 W"


def test_draining_says_what_becomes_of_the_runs():
    assert drained(worker()).startswith("It takes no run")
    assert drained(worker(run_ids=["a"])).startswith("Its 1 run makes a checkpoint and goes back to the queue.")
    assert drained(worker(run_ids=["a", "b"])).startswith("Its 2 runs make a checkpoint and go back to the queue.")
