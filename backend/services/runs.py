"""What people do with runs: launch, read, change, stop, queue again, clone, delete."""

import json
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, select
from sqlalchemy.orm import Session

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import ENDED, RunCreate, RunPage, RunPatch, RunRead, RunState
from backend.contracts.runs import Transition as TransitionRead
from backend.db import changes
from backend.db.models import Run, Transition
from backend.db.types import utc_now
from backend.services import datasets, folders, states
from backend.services.actor import ACTOR
from backend.services.errors import ConflictError, NotFoundError
from backend.services.lab import Lab, new_id


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list shows; None: all."""

    state: RunState | None = None
    study_id: str | None = None
    dataset: str | None = None
    tag: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL."""
        found: list[ColumnElement[bool]] = []
        if self.state is not None:
            found.append(Run.state == self.state)
        if self.study_id is not None:
            found.append(Run.study_id == self.study_id)
        if self.dataset is not None:
            found.append(Run.dataset == self.dataset)
        if self.tag is not None:
            tags = cast(Run.tags, Text)  # an array as text: a tag stands in it as its JSON string
            found.append(func.replace(tags, json.dumps(self.tag), "") != tags)
        return found


@dataclass(frozen=True)
class Packs:
    """The very images of a run: those it trains on (None: rendered shapes), and those it transfers to by name."""

    own: str | None
    transfer: dict[str, str | None]


def launch(lab: Lab, request: RunCreate) -> RunRead:
    """Queue a run. Raises InvalidError where its dataset cannot serve it."""
    with lab.database.write() as session:
        run = add_run(session, request, packs=find_packs(session, request.config))
    lab.unsent.set()
    return read_model(run)


def find_packs(session: Session, config: ExperimentConfig) -> Packs:
    """The packs of the datasets that a run with this config uses. Raises InvalidError where one cannot serve it."""
    return Packs(datasets.check_usable(session, config), datasets.check_transfer(session, config))


def add_run(session: Session, request: RunCreate, *, packs: Packs, **of_study: Any) -> Run:
    """A queued run, in the caller's transaction. The caller rings ``lab.unsent`` after its commit."""
    config = request.config
    run = Run(
        id=new_id(),
        name=request.name or default_name(config),
        notes=request.notes,
        tags=list(dict.fromkeys(request.tags)),
        config=config.model_dump(mode="json"),
        dataset=config.dataset.name,
        pack_sha256=packs.own,
        transfer_packs=packs.transfer,
        seed=config.training.seed,
        state="queued",
        progress=0.0,
        summary={},
        attempts=0,
        failures=0,
        last_seq=0,
        output_end=0,
        priority=request.priority,
        rank=time.time(),
        created_at=utc_now(),
        **of_study,
    )
    session.add(run)
    session.flush()
    states.record(session, run, None, actor=ACTOR.get(), reason="launched")
    return run


def read(lab: Lab, run_id: str) -> RunRead:
    """One run."""
    with lab.database.read() as session:
        return read_model(get(session, run_id))


def page(lab: Lab, which: RunFilter, *, limit: int, offset: int) -> RunPage:
    """Runs, newest first."""
    conditions = which.conditions()
    newest_first = (Run.created_at.desc(), Run.id.desc())
    with lab.database.read() as session:
        total = session.scalar(select(func.count()).select_from(Run).where(*conditions)) or 0
        rows = session.scalars(select(Run).where(*conditions).order_by(*newest_first).limit(limit).offset(offset))
        return RunPage(items=[read_model(run) for run in rows], total=total)


def patch(lab: Lab, run_id: str, change: RunPatch) -> RunRead:
    """Change name, tags, notes or priority. What is left out or null stays."""
    with lab.database.write() as session:
        run = get(session, run_id, lock=True)
        if change.name is not None:
            run.name = change.name
        if change.tags is not None:
            run.tags = list(dict.fromkeys(change.tags))
        if change.notes is not None:
            run.notes = change.notes
        if change.priority is not None:
            run.priority = change.priority
    return read_model(run)


def stop(lab: Lab, run_id: str) -> RunRead:
    """Stop a queued run at once, and ask a running one to checkpoint and stop. Raises ConflictError if it has ended."""
    with lab.database.write() as session:
        run = get(session, run_id, lock=True)
        if run.state in ENDED:
            raise ConflictError(f"The run has already {_ENDED_WORDS[run.state]}: there is nothing to stop.")
        return read_model(ask_to_stop(session, run))


def ask_to_stop(session: Session, run: Run) -> Run:
    """The same for a run that the caller has locked; one that is stopping or has ended stays as it is."""
    match run.state:
        case "queued":
            moved = states.move(session, run.id, "queued", "stopped", actor=ACTOR.get(), reason="stopped while queued")
        case "running":
            moved = states.move(session, run.id, "running", "stopping", actor=ACTOR.get(), reason="stop asked for")
        case _:
            moved = None
    return moved or run


def queue_again(session: Session, run: Run, config: ExperimentConfig, *, reason: str) -> Run:
    """Queue a locked run that has ended at the end of its priority, with this config and its failures forgotten.

    Raises ConflictError where the dataset is not the one it was launched with, InvalidError where one is missing. Datasets
    to transfer to may have changed: nothing was trained on them.
    """
    packs = find_packs(session, config)
    if packs.own != run.pack_sha256:
        raise ConflictError(
            f"Dataset '{run.dataset}' was imported anew with other images since this run began: "
            "clone the run to train on them from the start."
        )
    moved = states.move(
        session,
        run.id,
        run.state,
        "queued",
        actor=ACTOR.get(),
        reason=reason,
        config=config.model_dump(mode="json"),
        transfer_packs=packs.transfer,
        failures=0,
        error=None,
        remedy=None,
        rank=time.time(),
    )
    return moved or run


def clone(lab: Lab, run_id: str) -> RunRead:
    """Queue a new run with the same config, name, tags and notes, outside any study."""
    original = read(lab, run_id)
    return launch(lab, RunCreate(config=original.config, name=original.name, tags=original.tags, notes=original.notes))


def remove(lab: Lab, run_id: str) -> None:
    """Delete a run that has ended, with its files. Raises ConflictError for any other."""
    with lab.database.write() as session:
        run = get(session, run_id, lock=True)
        if run.state not in ENDED:
            raise ConflictError(f"The run is {run.state}: stop it first, then delete it.")
        session.execute(delete(Run).where(Run.id == run_id))
        changes.note(session, run_id)
    for root in (lab.settings.runs_dir, lab.settings.artifacts_dir):
        folders.remove(root, run_id)


def transitions(lab: Lab, run_id: str) -> list[TransitionRead]:
    """The moves of a run, oldest first."""
    with lab.database.read() as session:
        get(session, run_id)
        rows = session.scalars(select(Transition).where(Transition.run_id == run_id).order_by(Transition.id))
        return [TransitionRead.model_validate(row, from_attributes=True) for row in rows]


def get(session: Session, run_id: str, *, lock: bool = False) -> Run:
    """The row of a run, locked until the transaction ends where asked. Raises NotFoundError."""
    statement = select(Run).where(Run.id == run_id)
    run = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if run is None:
        raise NotFoundError(f"There is no run '{run_id}'.")
    return run


def read_model(run: Run) -> RunRead:
    """A run as the API shows it."""
    values = {name: getattr(run, name) for name in RunRead.model_fields if name != "epoch"}
    return RunRead.model_validate(values | {"epoch": _epoch(run)})


def _epoch(run: Run) -> float | None:
    """Epochs done: every epoch has the same number of steps."""
    if run.step is None or not run.total_steps:
        return None
    return run.config["training"]["epochs"] * run.step / run.total_steps


def default_name(config: ExperimentConfig) -> str:
    """What a run without a name is called."""
    training = config.training
    return (
        f"{config.dataset.name}: {config.augmentation.label}, batch {training.batch_size}, {training.epochs} epochs"
    )[:200]


_ENDED_WORDS = {"succeeded": "succeeded", "failed": "failed", "stopped": "been stopped"}
