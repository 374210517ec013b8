"""Following what a training process prints: its last lines for the backend, and a file that stays small."""

import os
from collections import deque
from pathlib import Path
from typing import Self

from backend.contracts.runs import OutputLines

LINES = 200
"""Lines in one post, at most; of more that come at once the last ones are kept."""
LINE_CHARACTERS = 2000
FILE_BYTES = 10_000_000
"""The file is emptied when it has been read and is larger than this."""
_CHUNK = 1 << 20
_LINE_BYTES = 4 * LINE_CHARACTERS
_LAST_WORDS = 4000


class OutputTail:
    """Whole lines of a file that a process appends to, counted in bytes of all that it has appended.

    ``collect`` often, so that the file stays small; ``batch`` is to be posted until ``confirm``.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._emptied = 0  # bytes that were in the file before it was emptied
        self._offset = 0
        self._lines: deque[bytes] = deque(maxlen=LINES - 1)
        self._left_out = 0
        self._torn = b""
        self._collected_end = self._batch_end = 0
        self._batch: OutputLines | None = None
        self._words = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def last_words(self) -> str:
        """The end of what was printed, a few thousand characters."""
        return _text(self._words).strip()

    @property
    def is_posted(self) -> bool:
        """Whether everything that was collected is confirmed."""
        return self._batch is None and not self._lines

    def collect(self, *, last: bool = False) -> None:
        """Take up what was printed since the last call; with ``last`` also a line that has no end yet."""
        size = os.fstat(self._file).st_size
        while self._offset < size:
            chunk = os.pread(self._file, min(_CHUNK, size - self._offset), self._offset)
            self._offset += len(chunk)
            self._words = (self._words + chunk)[-_LAST_WORDS:]
            *whole, rest = chunk.split(b"\n")
            if whole:
                whole[0] = self._torn + whole[0]
                self._torn = b""
                self._add(whole, self._emptied + self._offset - len(rest))
            self._torn = (self._torn + rest)[:_LINE_BYTES]
        if last and self._torn:
            self._add([self._torn], self._emptied + self._offset)
            self._torn = b""
        if size > FILE_BYTES:
            self._empty()

    def batch(self) -> OutputLines | None:
        """The lines to post: the same ones until they are confirmed; None where there are none."""
        if self._batch is None and self._lines:
            note = [f"({self._left_out} lines left out: too many at once)"] if self._left_out else []
            lines = [*note, *map(_shown, self._lines)]
            self._batch = OutputLines(start=self._batch_end, end=self._collected_end, lines=lines)
            self._batch_end = self._collected_end
            self._lines.clear()
            self._left_out = 0
        return self._batch

    def confirm(self) -> None:
        """The batch has arrived."""
        self._batch = None

    def _add(self, lines: list[bytes], end: int) -> None:
        self._left_out += max(0, len(self._lines) + len(lines) - LINES + 1)
        self._lines.extend(line[:_LINE_BYTES] for line in lines)
        self._collected_end = end

    def _empty(self) -> None:
        """The process appends, so it goes on at the start. What it prints this very moment is lost, but counted."""
        self._emptied += os.fstat(self._file).st_size
        os.ftruncate(self._file, 0)
        self._offset = 0


def _text(printed: bytes) -> str:
    return printed.decode(errors="replace").replace("\0", "\ufffd")  # which PostgreSQL does not store


def _shown(line: bytes) -> str:
    """The line as a terminal would leave it: of a progress bar that was drawn over and over, the last state."""
    text = _text(line).rstrip("\r").rpartition("\r")[2]
    return text if len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…"
