"""A request's body, streamed to a file: in large pieces, so that the event loop is not kept from others."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from backend.services.errors import TooLargeError
from backend.services.incoming import IncomingFile

_PIECE = 1 << 20


def check_announced_size(request: Request, limit: int) -> None:
    """Raise TooLargeError where the header already says that the body is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLargeError(f"The file has {announced} bytes, more than the limit of {limit}.")


async def receive(request: Request, incoming: IncomingFile) -> None:
    """Write the whole body. Raises what ``IncomingFile`` raises, and ClientDisconnect where it breaks off."""
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= _PIECE:
            await run_in_threadpool(incoming.write, bytes(piece))
            piece.clear()
    await run_in_threadpool(incoming.write, bytes(piece))
    await run_in_threadpool(incoming.finish)
