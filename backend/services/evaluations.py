"""More evaluation of a run that has finished: what is asked for joins its config, and the run is queued again.

Pretraining is over, so the next attempt starts from the newest checkpoint with no step left, and measures what is not
yet measured (``docs/decisions/0003-evaluate-later.md``).
"""

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.contracts.config import ExperimentConfig
from backend.contracts.problems import FieldError
from backend.contracts.runs import ENDED, EvaluateRequest, RunRead
from backend.db.models import Checkpoint, Run, Transition
from backend.services import runs
from backend.services.errors import ConflictError, InvalidError
from backend.services.lab import Lab


def evaluate(lab: Lab, run_id: str, request: EvaluateRequest) -> RunRead:
    """Queue a finished run again with these fields of its evaluation.

    Raises ConflictError where the run has not succeeded, has all of it already, or its images were replaced; InvalidError,
    naming the field, where the fields do not fit the run.
    """
    with lab.database.write() as session:
        run = runs.get(session, run_id, lock=True)
        if not _has_succeeded(session, run):
            raise ConflictError(f"Only a run that has succeeded can be evaluated further; this one is {run.state}.")
        if lab.settings.checkpoint_retention_days is not None and not _has_checkpoints(session, run_id):
            raise ConflictError(
                "Its checkpoints were removed to save space: clone the run to train and evaluate it anew."
            )
        config = _extended(ExperimentConfig.model_validate(run.config), request)
        if run.state == "succeeded" and config.model_dump(mode="json") == run.config:
            raise ConflictError("The run has been evaluated in just this way: ask for something else.")
        try:
            queued = runs.queue_again(session, run, config, reason="more evaluation asked for")
        except InvalidError as error:
            raise _below_evaluation(error) from error
    lab.unsent.set()
    return runs.read_model(queued)


def _has_succeeded(session: Session, run: Run) -> bool:
    """Whether it has ended and had once succeeded: an evaluation that failed later does not take that back."""
    before = select(Transition.id).where(Transition.run_id == run.id, Transition.to_state == "succeeded")
    return run.state in ENDED and session.scalars(before).first() is not None


def _has_checkpoints(session: Session, run_id: str) -> bool:
    return session.scalars(select(Checkpoint.name).where(Checkpoint.run_id == run_id)).first() is not None


def _extended(config: ExperimentConfig, request: EvaluateRequest) -> ExperimentConfig:
    evaluation = config.evaluation.extended(request.evaluation)
    try:
        return ExperimentConfig.model_validate({**config.model_dump(), "evaluation": evaluation.model_dump()})
    except ValidationError as error:
        found = [
            FieldError(field="evaluation", message=item["msg"].removeprefix("Value error, ")) for item in error.errors()
        ]
        raise InvalidError(found) from error


def _below_evaluation(error: InvalidError) -> InvalidError:
    """The request holds ``evaluation``, not ``config``."""
    return InvalidError(
        [FieldError(field=one.field.removeprefix("config."), message=one.message) for one in error.errors]
    )
