"""The process that decodes: ``python -m worker.simclr.data.decoder``, which can do nothing else.

It speaks over the socket that is its standard input and output. A request is one line of JSON with the sizes of some
files and, to decode them, the pixel format of the pack; then the files follow. The answer to each file, in order, is
whether it could be read, a length, and so many bytes: pixels, or what the file says of itself as JSON, or the reason.
A single zero byte says at the beginning that the limits are in force.
"""

import ctypes
import dataclasses
import json
import resource
import signal
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import (  # the formats that are read: loaded now, as no file can be opened later
    BmpImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    GifImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    JpegImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    PngImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    PpmImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    TiffImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
    WebPImagePlugin,  # pyright: ignore[reportUnusedImport] # noqa: F401
)

from worker.simclr.data.decoding import PixelFormat, decode_image, look_at

MEMORY_BYTES = 3 << 30
"""Address space: enough for the largest image that is allowed (``decoding.MAX_PIXELS``), with transparency."""
ANSWER = struct.Struct("<?I")
READY = b"\0"
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer requests until the other side is gone."""
    _limit()
    warnings.simplefilter(
        "ignore"
    )  # of large images and of odd metadata: the size is checked, metadata does not matter
    with open(0, "rb") as requests, open(1, "wb") as answers:
        answers.write(READY)
        answers.flush()
        while line := requests.readline():
            _answer(json.loads(line), requests, answers)


def _answer(request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    """All files are read before the first answer, so that the two sides never wait for each other."""
    form = PixelFormat(**request["form"]) if request["form"] else None
    contents = [requests.read(size) for size in request["sizes"]]
    contents.reverse()
    while contents:
        is_readable, payload = _read(contents.pop(), form)
        answers.write(ANSWER.pack(is_readable, len(payload)))
        answers.write(payload)
        answers.flush()


def _read(content: bytes, form: PixelFormat | None) -> tuple[bool, bytes]:
    try:
        if form is None:
            return True, json.dumps(dataclasses.asdict(look_at(content))).encode()
        return True, decode_image(content, form).tobytes()
    except ValueError as error:
        return False, str(error).encode(errors="replace")


def _limit() -> None:
    """From here on: no file is opened or written, no core is dumped, memory is bounded, and no life without the parent."""
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))
    if sys.platform == "linux":  # macOS takes no limit of memory
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides


if __name__ == "__main__":
    main()
