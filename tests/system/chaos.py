"""A lab in which everything goes wrong: ``python -m tests.system.chaos --seeds 20 --database both`` prints a table.

A seeded generator chooses faults and their times; real processes are killed, stopped and cut off while runs train.
At the end every run must have the numbers of an undisturbed one (``tests.system.outcome``). Exit code 1: one has not.
"""

import argparse
import contextlib
import itertools
import random
import sched
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import ENDED
from tests.postgres import PostgresServer
from tests.system.conftest import (
    RunningLab,
    busyness,
    import_tiny,
    more_workers,
    tiny_config,
    wait_until,
    write_images,
)
from tests.system.faults import FAULTS, Faults, NoVictimError
from tests.system.outcome import Numbers, numbers, problems

RUNS = 8
EPOCHS = 60
TRAINING_SEEDS = 3
"""Runs are of so many configs, so that one whose numbers went to another run is seen."""
MORE_WORKERS = 2
MORE_FAULTS = 2
PAUSE_SECONDS = (0.3, 2.5)
RETRY_SECONDS = 0.2
NO_VICTIM_SECONDS = 60.0
END_SECONDS = 120.0


class Chaos:
    """Faults that happen to a lab, in an order and at times that follow from the seed."""

    def __init__(self, lab: RunningLab, server: PostgresServer | None, seed: int, more_faults: int) -> None:
        self._random = random.Random(seed)
        self._faults = Faults(lab, server, self._random, self._undo_after)
        self._plan = [*FAULTS, *self._random.choices(list(FAULTS), k=more_faults)]
        self._random.shuffle(self._plan)
        self._schedule = sched.scheduler(time.monotonic, time.sleep)
        self._undone = contextlib.ExitStack()
        self._started = time.monotonic()
        self.log: list[str] = []
        self.happened: Counter[str] = Counter()

    def run(self) -> None:
        """Let every kind happen at least once, and undo what is to be undone. Blocks until all is over."""
        self._started = time.monotonic()
        at = 0.0
        for kind in self._plan:
            at += self._random.uniform(*PAUSE_SECONDS)
            self._schedule.enter(at, 1, self._strike, (kind, at + NO_VICTIM_SECONDS * busyness()))
        with self._undone:
            self._schedule.run()

    def _strike(self, kind: str, latest: float) -> None:
        elapsed = time.monotonic() - self._started
        try:
            what = FAULTS[kind](self._faults)
        except (NoVictimError, psutil.NoSuchProcess, redis.ConnectionError):
            assert elapsed < latest, f"nothing to hit for '{kind}': all runs have ended, or no training starts"
            self._schedule.enter(RETRY_SECONDS, 1, self._strike, (kind, latest))
            return
        self.happened[kind] += 1
        self.log.append(f"{elapsed:6.1f} s  {kind}: {what}")

    def _undo_after(self, seconds: float, undo: Callable[[], object]) -> None:
        """Undo it then, or earlier where the chaos ends in an error; so it must do no harm twice."""
        self._undone.callback(undo)
        self._schedule.enter(seconds, 0, undo)


@dataclass
class Result:
    """What became of one seed."""

    seed: int
    database: str
    runs: int
    attempts: int = 0
    refused: int = 0
    """Attempts that learned from the backend that they were stale."""
    seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def row(self, verdict: str) -> str:
        """A line of the table."""
        faults = [self.happened[kind] for kind in FAULTS]
        cells = [
            self.seed,
            self.database,
            *faults,
            self.runs,
            self.attempts,
            self.refused,
            f"{self.seconds:.0f}",
            verdict,
        ]
        return f"| {' | '.join(map(str, cells))} |"

    def __str__(self) -> str:
        """Everything that is needed to look into a failure."""
        lines = [f"seed {self.seed} on {self.database}: {self.attempts} attempts, {self.seconds:.0f} s", *self.problems]
        return "\n".join([*lines, "faults:", *self.story])


def configs() -> list[ExperimentConfig]:
    """The configs that the runs take in turn."""
    config = tiny_config(epochs=EPOCHS)
    return [
        config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
        for seed in range(TRAINING_SEEDS)
    ]


def undisturbed(folder: Path) -> dict[int, Numbers]:
    """The numbers of each config, by its training seed, from a lab that nobody disturbs."""
    with running_lab(folder, SIMCLR_LAB_LEASE_SECONDS="60") as lab:
        ids = [lab.launch(config) for config in configs()]
        runs = [lab.wait_for_end(run_id) for run_id in ids]
        for run in runs:
            assert (run.state, run.attempts) == ("succeeded", 1), run.error
        return {run.config.training.seed: numbers(lab, run) for run in runs}


def survive(
    seed: int,
    server: PostgresServer | None,
    folder: Path,
    expected: dict[int, Numbers],
    *,
    runs: int = RUNS,
    more_faults: int = MORE_FAULTS,
) -> Result:
    """Let one seed happen to a lab of its own, on PostgreSQL where there is a server, and judge what is left.

    Every kind of fault happens once, and then so many more.
    """
    result = Result(seed, "SQLite" if server is None else "PostgreSQL", runs)
    settings = {"SIMCLR_LAB_MAX_ATTEMPTS": "1000"}
    if server is not None:
        settings["SIMCLR_LAB_DATABASE_URL"] = server.create(f"chaos_{seed}")
    with running_lab(folder, **settings) as lab, more_workers(lab, MORE_WORKERS):
        started = time.monotonic()
        ids = [lab.launch(config) for config, _ in zip(configs() * runs, range(runs), strict=False)]
        chaos = Chaos(lab, server, seed, more_faults)
        result.happened, result.story = chaos.happened, chaos.log
        try:
            chaos.run()
            with contextlib.suppress(AssertionError):  # a run that has not ended is named below
                wait_until(_have_ended(lab), "every run has ended", seconds=END_SECONDS * busyness())
            result.attempts = sum(run.attempts for run in lab.client.runs().items)
            result.problems = problems(lab, ids, expected)
        except (AssertionError, ApiError, BackendUnreachableError) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        result.seconds = time.monotonic() - started
    result.refused = sum(log.read_text().count("lost the lease") for log in folder.glob("*.log"))
    result.problems += [f"left behind: {process}" for process in lab.processes()]
    return result


def _have_ended(lab: RunningLab) -> Callable[[], bool]:
    def ended() -> bool:
        try:
            return all(run.state in ENDED for run in lab.client.runs().items)
        except (BackendUnreachableError, ApiError):
            return False

    return ended


@contextmanager
def running_lab(folder: Path, **settings: str) -> Iterator[RunningLab]:
    """A lab with the dataset ``tiny``."""
    folder.mkdir(parents=True, exist_ok=True)
    lab = RunningLab(folder, **settings)
    try:
        lab.start()
        import_tiny(lab, write_images(folder / "tiny"))
        yield lab
    finally:
        lab.stop()


def main(argv: list[str] | None = None) -> int:
    """Let many seeds happen and print a table. Returns the exit code: 1 where a run has not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--runs", type=int, default=RUNS, help="how many of them train in each seed")
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="simclr-chaos-"))
    expected = undisturbed(folder / "undisturbed")
    columns = ["seed", "database", *FAULTS, "runs", "attempts", "stale", "seconds", "result"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    failed: list[Result] = []
    with contextlib.ExitStack() as stack:
        servers: list[PostgresServer | None] = [None] if args.database != "postgresql" else []
        if args.database != "sqlite":
            servers.append(stack.enter_context(PostgresServer.started()))
        for seed, server in itertools.product(range(args.first, args.first + args.seeds), servers):
            place = folder / f"{seed}-{'sqlite' if server is None else 'postgresql'}"
            result = survive(seed, server, place, expected, runs=args.runs)
            print(result.row(f"FAILED, see {place}" if result.problems else "all as undisturbed"), flush=True)
            if result.problems:
                (place / "story.txt").write_text(str(result))
                failed.append(result)
            else:
                shutil.rmtree(place)
    for result in failed:
        print(f"\n{result}", file=sys.stderr)
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
