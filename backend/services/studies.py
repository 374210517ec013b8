"""Studies: launch a grid of runs, read it with its results, stop it as a whole."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.contracts.runs import ENDED, RunCreate
from backend.contracts.studies import StudyCreate, StudyRead, StudyResult, StudyResults
from backend.db.models import Run, Study
from backend.db.types import utc_now
from backend.services import grid, runs
from backend.services.errors import InvalidError, NotFoundError
from backend.services.lab import Lab, new_id


def launch(lab: Lab, request: StudyCreate) -> StudyRead:
    """Queue all runs of a study in one transaction: all or none. Raises InvalidError naming the request's field."""
    points = grid.expand(request)
    with lab.database.write() as session:
        found = [_find_packs(session, request, point) for point in points]
        study = Study(
            id=new_id(),
            name=request.name,
            notes=request.notes,
            base=request.base.model_dump(mode="json"),
            axes=[axis.model_dump(mode="json") for axis in request.axes],
            seeds=list(request.seeds),
            created_at=utc_now(),
        )
        session.add(study)
        session.flush()
        for position, (point, packs) in enumerate(zip(points, found, strict=True)):
            runs.add_run(
                session,
                RunCreate(config=point.config, name=_run_name(request, point), priority=request.priority),
                packs=packs,
                study_id=study.id,
                position=position,
                cell=point.cell,
            )
    lab.unsent.set()
    return read(lab, study.id)


def listed(lab: Lab) -> list[StudyRead]:
    """All studies, newest first."""
    with lab.database.read() as session:
        rows = session.scalars(select(Study).order_by(Study.id.desc())).all()
        return _read_models(session, rows)


def read(lab: Lab, study_id: str) -> StudyRead:
    """One study. Raises NotFoundError."""
    with lab.database.read() as session:
        return _read_models(session, [_get(session, study_id)])[0]


def results(lab: Lab, study_id: str) -> StudyResults:
    """A study with all its runs in grid order. Raises NotFoundError."""
    with lab.database.read() as session:
        study = _get(session, study_id)
        rows = session.scalars(select(Run).where(Run.study_id == study_id).order_by(Run.position)).all()
        found = [StudyResult(cell=run.cell or {}, seed=run.seed, run=runs.read_model(run)) for run in rows]
        return StudyResults(study=_read_models(session, [study])[0], results=found)


def stop(lab: Lab, study_id: str) -> StudyRead:
    """Stop every run that has not ended: queued ones at once, a running one after a checkpoint."""
    with lab.database.write() as session:
        _get(session, study_id)
        unfinished = select(Run).where(Run.study_id == study_id, Run.state.not_in(ENDED)).order_by(Run.id)
        for run in session.scalars(unfinished.with_for_update()).all():
            runs.ask_to_stop(session, run)
    return read(lab, study_id)


def _find_packs(session: Session, request: StudyCreate, point: grid.GridPoint) -> runs.Packs:
    try:
        return runs.find_packs(session, point.config)
    except InvalidError as error:
        first = error.errors[0]
        field = grid.field_of(request, point, first.field.removeprefix("config."))
        raise InvalidError.field(field, first.message) from error


def _run_name(request: StudyCreate, point: grid.GridPoint) -> str:
    parts = list(point.cell.values())
    if len(request.seeds) > 1:
        parts.append(f"seed {point.seed}")
    return f"{request.name}: {', '.join(parts)}"[:200]


def _get(session: Session, study_id: str) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise NotFoundError(f"There is no study '{study_id}'.")
    return study


def _read_models(session: Session, rows: Sequence[Study]) -> list[StudyRead]:
    counts: dict[str | None, Counter[str]] = {row.id: Counter() for row in rows}
    by_state = (
        select(Run.study_id, Run.state, func.count())
        .where(Run.study_id.in_([row.id for row in rows]))
        .group_by(Run.study_id, Run.state)
    )
    for study_id, state, count in session.execute(by_state):
        counts[study_id][state] = count
    return [
        StudyRead.model_validate(
            {name: getattr(row, name) for name in StudyRead.model_fields if name != "states"}
            | {"states": dict(counts[row.id])}
        )
        for row in rows
    ]
