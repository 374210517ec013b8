"""What must be true of a lab in the end, whatever happened to it in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import func, select

from backend.contracts.runs import ENDED, RunRead, Transition
from backend.db.engine import Database
from backend.db.models import Run
from backend.services.states import LEGAL_MOVES
from backend.settings import Settings
from tests.system.conftest import RunningLab

MEASURED = {"images_per_second"}
"""Results that are measured by the clock: the only ones that two undisturbed runs do not share."""
EXACT_FILES = ("encoder.safetensors", "predictions.json")


def results(run: RunRead) -> dict[str, object]:
    """The results of a run that follow from its config."""
    return {name: value for name, value in run.summary.items() if name not in MEASURED}


@dataclass(frozen=True)
class Numbers:
    """All that follows from a run's config, bit for bit: metrics by step, results, and the files' hashes."""

    metrics: dict[str, list[tuple[int, float]]]
    results: dict[str, object]
    files: dict[str, str]


def numbers(lab: RunningLab, run: RunRead) -> Numbers:
    """The numbers of a run that has succeeded."""
    files = {file.name: file.sha256 for file in lab.client.artifacts(run.id) if file.name in EXACT_FILES}
    return Numbers(lab.metrics(run.id), results(run), files)


def problems(lab: RunningLab, run_ids: Sequence[str], expected: dict[int, Numbers]) -> list[str]:
    """Everything that is not as it must be: of each run, and what is left behind. Empty: all is well.

    ``expected``: the numbers of an undisturbed run, by training seed.
    """
    runs = lab.client.runs(limit=1000).items
    found = [f"run {run_id} is missing" for run_id in set(run_ids) - {run.id for run in runs}]
    found += [f"run {run.id} was never launched" for run in runs if run.id not in run_ids]
    for run in runs:
        told = [*_of_run(lab, run, expected[run.config.training.seed])]
        if told:
            found += [f"run {run.id}: {problem}" for problem in told]
            found += [f"    {_in_words(move)}" for move in lab.client.transitions(run.id)]
    return [*found, *_left_behind(lab)]


def _of_run(lab: RunningLab, run: RunRead, expected: Numbers) -> Iterator[str]:
    yield from _of_moves(lab.client.transitions(run.id), run)
    if run.state != "succeeded":
        yield f"is {run.state}: {run.error}"
        return
    have = numbers(lab, run)
    for name in expected.metrics.keys() | have.metrics.keys():
        points, others = have.metrics.get(name, []), expected.metrics.get(name, [])
        steps = [step for step, _ in points]
        if steps != sorted(set(steps)):
            yield f"a step of {name} is doubled"
        missing = {step for step, _ in others} - set(steps)
        if missing:
            yield f"{name} lacks the steps {sorted(missing)}"
        elif points != others:
            differing = [step for (step, value), other in zip(points, others, strict=False) if (step, value) != other]
            yield f"{name} differs at the steps {differing[:10]}, of {len(points)} where {len(others)} are expected"
    if have.results != expected.results:
        yield f"has the results {have.results}, not {expected.results}"
    if have.files != expected.files:
        yield f"has the files {have.files}, not {expected.files}"


def _of_moves(moves: Sequence[Transition], run: RunRead) -> Iterator[str]:
    """The history must be one chain of legal moves with one claim for every attempt and one end."""
    if moves[0].from_state is not None or moves[0].to_state != "queued":
        yield "does not begin as queued"
    for before, after in pairwise(moves):
        if after.from_state != before.to_state:
            yield f"went from {after.from_state} where it was {before.to_state}"
        if (after.from_state, after.to_state) not in LEGAL_MOVES:
            yield f"made a move that is not legal: {after.from_state} to {after.to_state}"
        if after.time < before.time:
            yield "has moves that do not follow in time"
    claims = [move.attempt for move in moves if move.to_state == "running"]
    if claims != [*range(1, run.attempts + 1)]:
        yield f"has the attempts {claims}, and counts {run.attempts}"
    ends = [move.to_state for move in moves if move.to_state in ENDED]
    if ends != ["succeeded"] or moves[-1].to_state != "succeeded":
        yield f"ended as {ends}, not exactly once as succeeded"


def _left_behind(lab: RunningLab) -> Iterator[str]:
    for process in lab.processes():
        if "worker.train" in process.cmdline():
            yield f"left behind: training process {process.pid}"
    database = Database(Settings(**_database(lab), _env_file=None).sqlalchemy_url)
    with database.read() as session:
        leases = session.scalar(select(func.count()).where(Run.lease_expires_at.is_not(None)))
    database.close()
    if leases:
        yield f"left behind: {leases} leases"
    for folder in ("runs", "artifacts"):
        for path in sorted((lab.home / folder).rglob("*")):
            if _is_temporary(path):
                yield f"left behind: {path.relative_to(lab.home)}"


def _database(lab: RunningLab) -> dict[str, object]:
    return {"home": lab.home, "database_url": lab.environment.get("SIMCLR_LAB_DATABASE_URL", "")}


def _is_temporary(path: Path) -> bool:
    return path.is_file() and (path.name.startswith(".") or path.suffix in {".tmp", ".part"})


def _in_words(move: Transition) -> str:
    return f"{move.time:%H:%M:%S.%f} {move.from_state} -> {move.to_state} at attempt {move.attempt}: {move.actor}, {move.reason}"
