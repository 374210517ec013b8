"""Files to pixels in processes that can do nothing else: what kills such a process costs one image, not the import."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import BinaryIO, Self, TypeVar

import numpy as np
import numpy.typing as npt

from worker.simclr.data.decoder import ANSWER, READY
from worker.simclr.data.decoding import MAX_CHANNELS, Look, PixelFormat
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.sources import Source

MAX_LOST = 50
"""Images on which a process died or stood still, after which the whole import is refused."""
_IMAGE_SECONDS = 60.0
"""For one image: ten times what the largest that is allowed takes."""
_START_SECONDS = 120.0
_END_SECONDS = 5.0
_ASKED_BYTES = 4 << 20
_MOST_BYTES = 1 << 26
_MOST_LETTERS = 1000
_NONSENSE = "made the image decoder answer nonsense"
_ROOT = Path(__file__).resolve().parents[3]
_Answer = TypeVar("_Answer")


class Decoders:
    """``count`` processes, which any thread may use. Used as a context.

    ``look`` and ``decode`` answer for each file what ``decoding`` does, or the reason why not, as text. They raise
    ImportRefusedError where too many images cost a process its life.
    """

    def __init__(self, count: int) -> None:
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self.count = count
        self._lost = 0
        self._lock = Lock()
        # A process dies with the thread that started it: this one lives as long as they are needed.
        self._starter = ThreadPoolExecutor(1, "decoders")

    def __enter__(self) -> Self:
        for _ in range(self.count):
            self._idle.put(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        while not self._idle.empty():
            self._idle.get().end()
        self._starter.shutdown()

    def look(self, contents: Sequence[bytes]) -> list[Look | str]:
        """What each file says of itself."""
        return self._ask(contents, None, _look_of)

    def decode(self, contents: Sequence[bytes], form: PixelFormat) -> list[npt.NDArray[np.uint8] | str]:
        """Each file as uint8 (C, S, S)."""
        shape = (form.channels, form.image_size, form.image_size)
        return self._ask(contents, form, lambda answer: np.frombuffer(answer, np.uint8).reshape(shape))

    def _ask(
        self, contents: Sequence[bytes], form: PixelFormat | None, parse: Callable[[bytes], _Answer]
    ) -> list[_Answer | str]:
        answers: list[_Answer | str] = []
        process = self._idle.get()
        try:
            while len(answers) < len(contents):
                try:
                    for answer in process.ask(contents[len(answers) :], form):
                        parsed = answer if isinstance(answer, str) else _parsed(answer, parse)
                        answers.append(parsed)  # one by one: those before an error count
                except _LostError as error:
                    process.end()
                    answers.append(str(error))
                    self._count_lost(str(error))
                    process = self._start()
        finally:
            self._idle.put(process)
        return answers

    def _count_lost(self, reason: str) -> None:
        with self._lock:
            self._lost += 1
            if self._lost > MAX_LOST:
                raise ImportRefusedError(
                    f"More than {MAX_LOST} images could not be decoded; the last one {reason}. Remove what are no "
                    "real images and import again."
                )

    def _start(self) -> "_Process":
        return self._starter.submit(_Process).result()


def answers_to_files(
    source: Source, names: Sequence[str], ask: Callable[[Sequence[bytes]], Sequence[_Answer | str]]
) -> list[_Answer | str]:
    """What ``ask`` answers to each file, or the reason why the source cannot give it; memory holds a few of them."""
    answers: list[_Answer | str] = []
    read: list[bytes] = []
    for name in names:
        try:
            read.append(source.read(name))
        except (ValueError, OSError) as error:
            answers += [*ask(read), str(error)]
            read = []
        if sum(map(len, read)) > _ASKED_BYTES:
            answers += ask(read)
            read = []
    return [*answers, *ask(read)]


class _LostError(Exception):
    """The process is of no use any more, since the file that is to be answered next."""


class _Process:
    """One process that decodes."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.simclr.data.decoder"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,  # what codecs say there the answer says too
                cwd=_ROOT,
                env={"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1"},  # and no secrets
            )
        self._answers: BinaryIO = self._socket.makefile("rb")
        self._socket.settimeout(_START_SECONDS)
        if self._answers.read(len(READY)) != READY:
            self.end()
            raise RuntimeError("the process that decodes images ended at its start: is Pillow installed as it should?")
        self._socket.settimeout(_IMAGE_SECONDS)

    def ask(self, contents: Sequence[bytes], form: PixelFormat | None) -> Iterator[bytes | str]:
        """The answer to each file: bytes, or why it cannot be read. Raises _LostError."""
        request = {"form": asdict(form) if form else None, "sizes": [len(content) for content in contents]}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            for content in contents:
                self._socket.sendall(content)
            for _ in contents:
                is_readable, length = ANSWER.unpack(self._read(ANSWER.size))
                if length > _MOST_BYTES:
                    raise _LostError(_NONSENSE)
                payload = self._read(length)
                yield payload if is_readable else payload.decode(errors="replace")[:_MOST_LETTERS]
        except TimeoutError as error:
            raise _LostError(f"could not be decoded within {_IMAGE_SECONDS:.0f} seconds") from error
        except OSError as error:
            raise self._crashed() from error

    def end(self) -> None:
        """Kill the process and wait for its end."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        self._socket.close()

    def _read(self, size: int) -> bytes:
        content = self._answers.read(size)
        if len(content) < size:
            raise self._crashed()
        return content

    def _crashed(self) -> _LostError:
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed its side, and lives on
            return _LostError(_NONSENSE)
        how = f" ({signal.Signals(-code).name})" if code < 0 else ""
        return _LostError(f"made the image decoder crash{how}")


def _parsed(answer: bytes, parse: Callable[[bytes], _Answer]) -> _Answer:
    """A file may have taken the process over, so its answers are not believed either. Raises _LostError."""
    try:
        return parse(answer)
    except (ValueError, TypeError) as error:
        raise _LostError(_NONSENSE) from error


def _look_of(answer: bytes) -> Look:
    look = Look(**json.loads(answer))
    if not (1 <= int(look.channels) <= MAX_CHANNELS and 0 <= int(look.largest or 0) < 1 << 16):
        raise ValueError(f"no image looks like {look}")
    return look
