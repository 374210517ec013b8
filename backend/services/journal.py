"""What training reports: events into the journal, metrics, checkpoints and the run's row."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from backend.contracts.events import (
    CheckpointEvent,
    EnvironmentEvent,
    Event,
    LogEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    SummaryEvent,
)
from backend.db.engine import upsert
from backend.db.models import Checkpoint, JournalEntry, MetricPoint, Run
from backend.db.types import clean_text

_ENVELOPE = {"attempt", "seq", "time", "kind"}


def store(session: Session, run: Run, events: Sequence[Event]) -> None:
    """Store new events of a run whose row is locked, in their order, and advance ``last_seq``."""
    if not events:
        return
    for event in events:
        _apply_to_run(run, event)
    run.last_seq = events[-1].seq
    upsert(session, MetricPoint, _metric_rows(run.id, events))
    _store_checkpoints(session, run, [event for event in events if isinstance(event, CheckpointEvent)])
    _write_journal(session, run.id, events)


def _apply_to_run(run: Run, event: Event) -> None:
    match event:
        case PhaseEvent():
            run.phase = event.phase
        case ProgressEvent():
            run.progress, run.eta_seconds = event.progress, event.eta_seconds
            run.step, run.total_steps = event.step, event.total_steps
        case EnvironmentEvent():
            run.environment = event.model_dump(mode="json", include={"git_commit", "packages", "hardware"})
        case SummaryEvent():
            run.summary = {**run.summary, **event.values}
        case _:
            pass


def _metric_rows(run_id: str, events: Sequence[Event]) -> list[dict[str, Any]]:
    points: dict[tuple[str, int], dict[str, Any]] = {}
    for event in events:
        if isinstance(event, MetricsEvent):
            for name, value in event.values.items():
                points[name, event.step] = {
                    "run_id": run_id,
                    "name": name,
                    "step": event.step,
                    "epoch": event.epoch,
                    "value": value,
                }
    return list(points.values())


def _store_checkpoints(session: Session, run: Run, events: Sequence[CheckpointEvent]) -> None:
    """Register them. A run that comes further than ever before gets on: its failures are forgotten."""
    if not events:
        return
    furthest = session.scalar(select(func.max(Checkpoint.step)).where(Checkpoint.run_id == run.id))
    if furthest is None or max(event.step for event in events) > furthest:
        run.failures = 0
    upsert(session, Checkpoint, [_checkpoint_row(run.id, event) for event in events])


def _checkpoint_row(run_id: str, event: CheckpointEvent) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "name": event.name,
        "step": event.step,
        "attempt": event.attempt,
        "sha256": event.sha256,
        "size_bytes": event.size_bytes,
    }


def _write_journal(session: Session, run_id: str, events: Sequence[Event]) -> None:
    """Every event but progress, of which only the newest is worth keeping."""
    newest_progress = next((event for event in reversed(events) if isinstance(event, ProgressEvent)), None)
    if newest_progress is not None:
        session.execute(delete(JournalEntry).where(JournalEntry.run_id == run_id, JournalEntry.kind == "progress"))
    kept = [event for event in events if not isinstance(event, ProgressEvent) or event is newest_progress]
    session.execute(
        insert(JournalEntry),
        [
            {
                "run_id": run_id,
                "attempt": event.attempt,
                "time": datetime.fromtimestamp(event.time, UTC),
                "kind": event.kind,
                "data": _data(event),
            }
            for event in kept
        ],
    )


def _data(event: Event) -> dict[str, Any]:
    data = event.model_dump(mode="json", exclude=_ENVELOPE)
    if isinstance(event, LogEvent):
        data["message"] = clean_text(event.message)
    return data
