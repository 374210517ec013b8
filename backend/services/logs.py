"""The log of a run: what the lab says of it and what its training process prints; bounded, and searched."""

from typing import Literal

from sqlalchemy import ColumnElement, case, delete, func, insert, select
from sqlalchemy.orm import Session

from backend.contracts.runs import LogLine, OutputLines
from backend.db.models import JournalEntry, Run
from backend.db.types import clean_text, utc_now
from backend.services import runs
from backend.services.lab import Lab

LogLevel = Literal["info", "warning", "error"]
LEVELS: tuple[LogLevel, ...] = ("info", "warning", "error")
MOST_CHARACTERS = 2000
"""Of a printed line; what a line has more is cut off."""

_LEVEL = JournalEntry.data["level"].as_string()
_MESSAGE = JournalEntry.data["message"].as_string()


def store_output(session: Session, run: Run, output: OutputLines) -> None:
    """Store printed lines of a run whose row is locked, unless they have come before."""
    if output.end <= run.output_end:
        return
    run.output_end = output.end
    if not output.lines:
        return
    now = utc_now()
    row = {"run_id": run.id, "attempt": run.attempts, "time": now, "kind": "log"}
    session.execute(
        insert(JournalEntry),
        [
            {**row, "data": {"level": "info", "message": _cut(clean_text(line)), "source": "output"}}
            for line in output.lines
        ],
    )


def bound(session: Session, run_id: str, most: int) -> None:
    """Keep at most ``most`` lines of a run: the oldest of the least bad ones go.

    They go a tenth at a time: only then are lines read, otherwise an index is counted.
    """
    of_run = _of_run(run_id)
    count = session.scalar(select(func.count()).where(*of_run)) or 0
    if count <= most:
        return
    badness = case({level: place for place, level in enumerate(LEVELS)}, value=_LEVEL, else_=0)
    by_badness = select(JournalEntry.id).where(*of_run).order_by(badness, JournalEntry.id)
    doomed = by_badness.limit(count - most * 9 // 10)
    session.execute(
        delete(JournalEntry).where(JournalEntry.id.in_(doomed)), execution_options={"synchronize_session": False}
    )


def lines(
    lab: Lab, run_id: str, *, after: int = 0, limit: int = 500, search: str = "", level: LogLevel = "info"
) -> list[LogLine]:
    """Lines with an id above ``after``, oldest first; with ``after`` 0 the last ``limit`` lines.

    ``search``: only lines that hold this text, in any case. ``level``: only lines of this level or a worse one.
    """
    wanted = _of_run(run_id)
    if search:
        wanted.append(_MESSAGE.icontains(clean_text(search), autoescape=True))
    if level != "info":
        wanted.append(_LEVEL.in_(LEVELS[LEVELS.index(level) :]))
    found = select(JournalEntry).where(*wanted)
    with lab.database.read() as session:
        runs.get(session, run_id)
        if after:
            rows = session.scalars(found.where(JournalEntry.id > after).order_by(JournalEntry.id).limit(limit)).all()
        else:
            rows = session.scalars(found.order_by(JournalEntry.id.desc()).limit(limit)).all()[::-1]
        return [
            LogLine(
                id=row.id,
                time=row.time,
                attempt=row.attempt,
                level=row.data["level"],
                message=row.data["message"],
                source=row.data.get("source", "lab"),
            )
            for row in rows
        ]


def _of_run(run_id: str) -> list[ColumnElement[bool]]:
    return [JournalEntry.run_id == run_id, JournalEntry.kind == "log"]


def _cut(line: str) -> str:
    """At most ``MOST_CHARACTERS`` of it, and a mark of what is missing."""
    missing = len(line) - MOST_CHARACTERS
    return line if missing <= 0 else f"{line[:MOST_CHARACTERS]} ... [{missing} more characters]"
