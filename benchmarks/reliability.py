"""How long a stop takes, and how soon a run goes on after each fault.

    python -m benchmarks.reliability

Starts a lab of its own with a second worker, tiny runs on the processor, and prints Markdown tables. Faults are those of
the chaos test. A recovery is the time from the fault to the first step that was not trained before.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
import redis
import torch

from backend.client import ApiError, BackendUnreachableError, Client
from backend.contracts.config import ExperimentConfig
from backend.contracts.events import ProgressEvent
from backend.contracts.runs import ENDED, RunCreate
from benchmarks.machine import describe
from tests.system.chaos import running_lab
from tests.system.conftest import RunningLab, more_workers, tiny_config
from tests.system.faults import Faults, NoVictimError
from worker.event_log import read_events

Moment = Literal["loading", "pretraining", "evaluating"]
MOMENTS: tuple[Moment, ...] = ("loading", "pretraining", "evaluating")
RECOVERIES: dict[str, Callable[[Faults], str]] = {
    "training process killed": Faults.kill_trainer,
    "pool process killed": Faults.kill_pool_process,
    "worker killed": Faults.kill_worker,
    "supervisor and training process stopped for longer than the lease": Faults.freeze,
    "backend killed": Faults.kill_backend,
    "broker killed, its data gone": Faults.lose_broker,
    "database locked for 10 s": Faults.stall_database,
}
WORKERS = 2
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 180.0


class Bench:
    """A running lab, its one run at a time, and the clock."""

    def __init__(self, lab: RunningLab, seed: int) -> None:
        self._client: Client = lab.client
        self._runs_dir = lab.home / "runs"
        self._random = random.Random(seed)
        self._faults = Faults(lab, None, self._random, _later)
        self._last_fault = datetime.min.replace(tzinfo=UTC)

    def launch_to_first_step(self) -> float:
        """Seconds from the launch of a run to its first step with the backend."""
        started = time.monotonic()
        run_id = self._launch(epochs=1000)
        self._wait(lambda: (self._client.run(run_id).step or 0) > 0, "the first step")
        seconds = time.monotonic() - started
        self._stop(run_id)
        return seconds

    def stop(self, moment: Moment) -> float | None:
        """Seconds from the wish to the state 'stopped', at a random time in this phase; None: it ended before."""
        run_id = self._launch(epochs=20 if moment == "evaluating" else 1000)
        self._wait(lambda: self._client.run(run_id).phase == moment, f"the run is {moment}")
        time.sleep(self._random.uniform(0, 1))
        return self._stop(run_id)

    def recovery(self, fault: Callable[[Faults], str]) -> float:
        """Seconds from the fault to the next new step with the backend."""
        run_id = self._launch(epochs=5000)
        self._wait(lambda: (self._client.run(run_id).step or 0) > 40, "some steps")
        time.sleep(self._random.uniform(0, 1))
        started = self._hit(fault)
        known = self._logged_step(run_id)
        self._wait(lambda: (self._client.run(run_id).step or 0) > known, "a new step")
        seconds = time.monotonic() - started
        self._stop(run_id)
        return seconds

    def drain(self) -> float:
        """Seconds from SIGTERM of the worker to the state 'queued', by the backend's clock, which is this one."""
        run_id = self._launch(epochs=5000)
        self._wait(lambda: (self._client.run(run_id).step or 0) > 40, "some steps")
        time.sleep(self._random.uniform(0, 1))
        self._hit(Faults.drain_worker)
        started = self._last_fault

        def given_back() -> list[datetime]:
            return [move.time for move in self._client.transitions(run_id) if move.to_state == "queued"][1:]

        self._wait(given_back, "the run is queued again")
        seconds = (given_back()[0] - started).total_seconds()
        self._stop(run_id)
        return seconds

    def _logged_step(self, run_id: str) -> int:
        """The last step in the log of the training process: what it wrote before a fault may be shipped after it."""
        events = read_events(self._runs_dir / run_id / "events.jsonl")
        return max(event.step for event in events if isinstance(event, ProgressEvent))

    def _launch(self, *, epochs: int) -> str:
        config = tiny_config(epochs=epochs).model_dump()
        config["evaluation"]["linear_sgd"] = {"epochs": 10_000, "batch_size": 16}  # long enough to be hit
        self._wait(self._are_all_workers_there, "both workers are there")
        return self._client.launch_run(RunCreate(config=ExperimentConfig.model_validate(config))).id

    def _are_all_workers_there(self) -> bool:
        heard = [worker for worker in self._client.workers() if worker.last_seen > self._last_fault]
        return len(heard) >= WORKERS

    def _stop(self, run_id: str) -> float | None:
        started = time.monotonic()
        self._client.stop_run(run_id)
        self._wait(lambda: self._client.run(run_id).state in ENDED, "the run has ended")
        seconds = time.monotonic() - started
        return seconds if self._client.run(run_id).state == "stopped" else None

    def _hit(self, fault: Callable[[Faults], str]) -> float:
        """Let it happen. Returns when."""
        while True:
            self._last_fault = datetime.now(UTC)
            started = time.monotonic()
            try:
                fault(self._faults)
            except (NoVictimError, psutil.NoSuchProcess, redis.ConnectionError):
                time.sleep(LOOK_SECONDS)
            else:
                return started

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if condition():
                    return
            except (BackendUnreachableError, ApiError):
                pass  # it was killed, or waits for its database
            if time.monotonic() > end:
                raise TimeoutError(f"not within {PATIENCE_SECONDS:g} s: {what}")
            time.sleep(LOOK_SECONDS)


def _later(seconds: float, undo: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, undo)
    timer.start()


def row(name: str, seconds: Sequence[float]) -> str:
    """A line of a table: how many, median, 95th and 99th percentile, longest."""
    median, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return f"| {name} | {len(seconds)} | {median:.2f} | {p95:.2f} | {p99:.2f} | {max(seconds):.2f} |"


def header(name: str) -> str:
    """The head of such a table."""
    return f"\n| {name} | times | median, s | 95% | 99% | longest |\n|---|---|---|---|---|---|"


def measure_stops(bench: Bench, count: int) -> None:
    """Print how long stops take in each phase, and together."""
    print(header("stop while"))
    taken: dict[Moment, list[float]] = {moment: [] for moment in MOMENTS}
    while sum(map(len, taken.values())) < count:
        moment = min(MOMENTS, key=lambda moment: len(taken[moment]))
        seconds = bench.stop(moment)
        if seconds is not None:
            taken[moment].append(seconds)
    for moment in MOMENTS:
        print(row(moment, taken[moment]))
    print(row("all", [seconds for some in taken.values() for seconds in some]), flush=True)


def measure_recoveries(bench: Bench, repeats: int, faults: Mapping[str, Callable[[Faults], str]]) -> None:
    """Print how soon a run starts, is given back, and goes on after each of these faults."""
    print(header("from ... to ..."))
    print(row("launch to the first step", [bench.launch_to_first_step() for _ in range(repeats)]), flush=True)
    print(row("SIGTERM of the worker to 'queued'", [bench.drain() for _ in range(repeats)]), flush=True)
    for name, fault in faults.items():
        print(row(f"{name}, to the next new step", [bench.recovery(fault) for _ in range(repeats)]), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--stops", type=int, default=99, help="how many runs are stopped")
    parser.add_argument("--repeats", type=int, default=5, help="how often each fault happens")
    parser.add_argument("--lease", type=float, default=15.0, help="SIMCLR_LAB_LEASE_SECONDS; 15 is its default")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which things happen")
    parser.add_argument("--smoke", action="store_true", help="three stops and one fault: only shows that it runs")
    args = parser.parse_args(argv)
    settings = {"SIMCLR_LAB_MAX_ATTEMPTS": "1000", "SIMCLR_LAB_LEASE_SECONDS": f"{args.lease:g}"}
    with (
        tempfile.TemporaryDirectory(prefix="simclr-reliability-") as folder,
        running_lab(Path(folder), **settings) as lab,
        more_workers(lab, WORKERS - 1),
    ):
        print(f"{datetime.now(UTC):%Y-%m-%d}, {describe(torch.device('cpu'), 'fp32')}; a lease of {args.lease:g} s")
        bench = Bench(lab, args.seed)
        measure_stops(bench, 3 if args.smoke else args.stops)
        faults = dict([*RECOVERIES.items()][:1]) if args.smoke else RECOVERIES
        measure_recoveries(bench, 1 if args.smoke else args.repeats, faults)


if __name__ == "__main__":
    main()
