"""A request's body, streamed to a file: in large pieces, so that the event loop is not kept from others."""

from collections.abc import AsyncGenerator

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from backend.services.errors import TooLargeError, TooSlowError
from backend.services.incoming import IncomingFile

_PIECE = 1 << 20


def check_announced_size(request: Request, limit: int) -> None:
    """Raise TooLargeError where the header already says that the body is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLargeError(f"The file has {announced} bytes, more than the limit of {limit}.")


async def receive(request: Request, incoming: IncomingFile, *, pause_seconds: float) -> None:
    """Write the whole body. Raises what ``IncomingFile`` raises, ClientDisconnect where it breaks off, and TooSlowError
    where nothing comes for ``pause_seconds``.
    """
    piece, chunks = bytearray(), request.stream()
    while (chunk := await _next(chunks, pause_seconds)) is not None:
        piece += chunk
        if len(piece) >= _PIECE:
            await run_in_threadpool(incoming.write, bytes(piece))
            piece.clear()
    await run_in_threadpool(incoming.write, bytes(piece))
    await run_in_threadpool(incoming.finish)


async def _next(chunks: AsyncGenerator[bytes], seconds: float) -> bytes | None:
    try:
        with anyio.fail_after(seconds):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise TooSlowError(f"Nothing came for {seconds:g} s: send the file again.") from error
