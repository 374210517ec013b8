"""Resuming a run that has ended, as it was or with changes under which all that was trained so far stays true."""

from typing import Any

from pydantic import ValidationError

from backend.contracts.changes import RunChanges
from backend.contracts.config import ExperimentConfig
from backend.contracts.problems import FieldError
from backend.contracts.runs import ENDED, RunRead
from backend.db.models import Run
from backend.services import runs
from backend.services.errors import ConflictError, InvalidError
from backend.services.lab import Lab

_OF_UNTRAINED = "untrained_"


def resume(lab: Lab, run_id: str, changes: RunChanges) -> RunRead:
    """Queue a run that has ended again; it keeps its checkpoints and goes on from the newest.

    Raises ConflictError where it has not ended, where it has succeeded and gets no more epochs, or where the dataset is
    not the one it was launched with; InvalidError, naming the field of ``changes``, where they do not fit the run.
    """
    with lab.database.write() as session:
        run = runs.get(session, run_id, lock=True)
        config = ExperimentConfig.model_validate(run.config)
        _check(run, config, changes)
        changed = _changed(config, changes)
        if changed.training.epochs > config.training.epochs:
            _forget_results(run, config.training.epochs, changed.training.epochs)
        moved = runs.queue_again(session, run, changed, reason=_reason(run, changes))
    lab.unsent.set()
    return runs.read_model(moved)


def _check(run: Run, config: ExperimentConfig, changes: RunChanges) -> None:
    epochs, now = changes.epochs, config.training.epochs
    if run.state not in ENDED:
        raise ConflictError(f"Only a run that has ended can be resumed; this one is {run.state}.")
    if run.state == "succeeded" and epochs is None:
        raise ConflictError("The run has succeeded: it can be resumed with more epochs only.")
    least = now + 1 if run.state == "succeeded" else now
    if epochs is not None and epochs < least:
        raise InvalidError.field(
            "epochs", f"must be at least {least}: the run was to train for {now}, and epochs are only added"
        )


def _changed(config: ExperimentConfig, changes: RunChanges) -> ExperimentConfig:
    values = changes.model_dump(exclude_none=True)
    content = config.model_dump()
    content["training"] |= values
    try:
        return ExperimentConfig.model_validate(content)
    except ValidationError as error:
        raise InvalidError([_named(item["loc"], item["msg"], changes) for item in error.errors()]) from error


def _named(location: tuple[int | str, ...], message: str, changes: RunChanges) -> FieldError:
    """The field of the changes; a misfit of several parts names none, and a micro-batch is what can cause one."""
    field = (
        str(location[1]) if len(location) > 1 else "epochs" if changes.micro_batch_size is None else "micro_batch_size"
    )
    return FieldError(field=field, message=message.removeprefix("Value error, "))


def _forget_results(run: Run, before: int, after: int) -> None:
    """What was measured on the weights is not true of those that come; what was measured on the untrained net stays."""
    run.summary = {name: value for name, value in run.summary.items() if name.startswith(_OF_UNTRAINED)}
    if run.total_steps is not None:
        run.total_steps = run.total_steps // before * after


def _reason(run: Run, changes: RunChanges) -> str:
    values: dict[str, Any] = changes.model_dump(exclude_none=True)
    words = [f"{name} {value}" for name, value in values.items()]
    return f"resumed at step {run.step or 0} with {', '.join(words)}" if words else "resumed"
