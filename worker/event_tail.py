"""Following the event log of a run while the training process writes it."""

import os
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from backend.contracts.events import Event, parse_event

_CHUNK = 1 << 20


class EventTail:
    """The events of one attempt, from where the log ended when the attempt began.

    What an earlier attempt left torn, and what a stale one still writes, is left out.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        self._offset = os.fstat(self._file).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def read(self) -> list[Event]:
        """The events that were written since the last call, at most about a megabyte of them; [] where there is none."""
        chunk = os.pread(self._file, _CHUNK, self._offset)
        whole = chunk[: chunk.rfind(b"\n") + 1]  # the rest comes again: a full disk may yet take it back
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := self._event(line)) is not None]

    def _event(self, line: bytes) -> Event | None:
        try:
            event = parse_event(line)
        except ValidationError:
            return None  # a line that a killed writer of an earlier attempt left torn
        return event if event.attempt == self._attempt else None
