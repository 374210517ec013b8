"""What is wanted of a run reaches its training process at once, and one that does not obey is ended in time."""

import time

import pytest

from backend.contracts.runs import AttemptEnd
from tests.worker.bench import OBEDIENT, Bench, is_alive, problem, wait_until
from worker import supervisor
from worker.orders import PATIENCE_SECONDS, Orders

DEAF = """
open(os.path.join(run_dir, "started"), "w").close()
time.sleep(60)
"""


class Ear:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def tell(self, order: str) -> None:
        self.heard.append(order)


@pytest.mark.parametrize(
    ("wishes", "heard"),
    [
        (["go_on"], []),
        (["stop", "stop"], ["stop"]),
        (["drain", "go_on", "drain"], ["drain"]),
        (["drain", "stop"], ["drain", "stop"]),
        (["stop", "drain"], ["stop"]),
    ],
)
def test_each_order_is_given_once_and_stop_is_the_last_word(wishes: list[str], heard: list[str]):
    ear = Ear()
    orders = Orders(ear)
    for wish in wishes:
        orders.give(wish)
    assert ear.heard == heard


def test_nothing_is_overdue_that_was_not_ordered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PATIENCE_SECONDS, "loading", -1.0)
    orders = Orders(Ear())
    assert not orders.are_overdue("loading")
    orders.give("stop")
    assert orders.are_overdue("loading")
    assert not orders.are_overdue("pretraining")


def test_a_stop_reaches_the_trainer_without_waiting_for_the_next_post(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "RENEWAL_SECONDS", 60.0)
    bench.backend.lease_seconds = 1000
    with bench.supervising(OBEDIENT):
        bench.wait_for_phase()
        bench.backend.want("stop")
        wait_until(lambda: bench.backend.end)
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="stopped")


def test_a_backend_that_cannot_be_waited_for_is_heard_by_the_posts(bench: Bench):
    bench.backend.can_be_waited_for = False
    with bench.supervising(OBEDIENT):
        bench.wait_for_phase()
        bench.backend.want("stop")
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="stopped")


def test_the_wish_to_drain_gives_the_run_back(bench: Bench):
    with bench.supervising(OBEDIENT):
        bench.wait_for_phase()
        bench.backend.want("drain")
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="drained")


@pytest.mark.parametrize(("wish", "outcome"), [("stop", "stopped"), ("drain", "drained")])
@pytest.mark.parametrize("phase", ["", 'write("phase", phase="loading")\n', 'write("phase", phase="evaluating")\n'])
def test_loading_or_evaluating_a_deaf_trainer_is_killed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: str, wish: str, outcome: str
):
    monkeypatch.setitem(PATIENCE_SECONDS, "evaluating", 0.3)
    with bench.supervising(phase + DEAF):
        bench.wait_for_file("started")
        if phase:
            bench.wait_for_phase()
        bench.backend.want(wish)
    assert bench.backend.end == AttemptEnd(attempt=1, outcome=outcome)
    assert not is_alive(bench.trainer_pid())


def test_evaluating_it_may_finish_what_it_measures(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PATIENCE_SECONDS, "loading", 0.0)
    with bench.supervising("""
    write("phase", phase="evaluating")
    sys.stdin.readline()
    time.sleep(0.3)
    write("summary", values={"knn_top1": 0.5})
    write("end", outcome="stopped")
    """):
        bench.wait_for_phase()
        bench.backend.want("stop")
    assert bench.backend.seqs == [1, 2, 3]


def test_pretraining_it_gets_the_time_for_its_step_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    for phase in ("loading", "evaluating"):
        monkeypatch.setitem(PATIENCE_SECONDS, phase, 0.0)
    monkeypatch.setitem(PATIENCE_SECONDS, "pretraining", 0.8)
    with bench.supervising('write("phase", phase="pretraining")\n' + DEAF):
        bench.wait_for_phase()
        asked = time.monotonic()
        bench.backend.want("stop")
    assert time.monotonic() - asked >= 0.8
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="stopped")


def test_a_trainer_that_has_said_how_it_ended_is_not_waited_for(bench: Bench):
    with bench.supervising("""
    folder = os.path.join(run_dir, "artifacts")
    os.makedirs(folder)
    open(os.path.join(folder, "report.json"), "wb").write(b"{}")
    write("artifact", name="report.json", sha256="0" * 64, size_bytes=2)
    write("end", outcome="succeeded")
    time.sleep(60)
    """):
        wait_until(lambda: bench.backend.end)
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="succeeded")
    assert bench.backend.files == {"report.json": b"{}"}
    assert not is_alive(bench.trainer_pid())


def test_who_waits_for_a_wish_of_a_lost_run_stops_waiting(bench: Bench):
    asked = 0

    def refuse(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise problem(409)

    bench.backend.wait_for_wish = refuse
    bench.supervise('time.sleep(0.8); write("end", outcome="succeeded")')
    assert asked == 1
