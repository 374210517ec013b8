"""The event log of a run: ``events.jsonl``, one JSON object a line, appended by the training process alone."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from backend.contracts.events import Event, parse_event

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def read_events(path: Path) -> list[Event]:
    """Every whole event of a log, in order; a torn line (the writer was killed) is left out."""
    if not path.is_file():
        return []
    events: list[Event] = []
    for line in path.read_bytes().splitlines():
        try:
            events.append(parse_event(line))
        except ValidationError:
            continue
    return events


class EventLog:
    """Appends events of one attempt, numbered 1, 2, 3 ... without gaps.

    Each is one ``write`` with O_APPEND, so it is visible at once and survives a kill of the process.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self.attempt = attempt
        self._seq = max((event.seq for event in read_events(path) if event.attempt == attempt), default=0)
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # ends a line that a killed writer left torn

    def write(self, kind: str, **values: Any) -> None:
        """Append an event of this kind, whole or not at all.

        Raises pydantic.ValidationError where the contract does not know it, OSError where the disk is full.
        """
        event = _EVENT.validate_python(
            {"kind": kind, "attempt": self.attempt, "seq": self._seq + 1, "time": time.time(), **values}
        )
        self._append(event.model_dump_json().encode() + b"\n")
        self._seq += 1

    def _append(self, line: bytes) -> None:
        before = os.fstat(self._file).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            if os.fstat(self._file).st_size == before + written:  # else another attempt has written behind it
                os.ftruncate(self._file, before)
            raise

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)


class SilentLog:
    """The log of a rank that does not report, as rank 0 does; its errors go to standard error."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt

    def write(self, kind: str, **values: Any) -> None:
        """Say nothing but errors."""
        if kind == "log" and values["level"] == "error":
            print(values["message"], file=sys.stderr)  # noqa: T201 (what a rank alone knows)

    def close(self) -> None:
        """Nothing to release."""
