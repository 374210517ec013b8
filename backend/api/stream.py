"""The route for live events (server-sent events) of a run."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.runs import RunId
from backend.db.models import JournalEntry
from backend.services import runs, stream
from backend.services.errors import NotFoundError
from backend.services.lab import Lab

POLL_SECONDS = 0.3
HEARTBEAT_SECONDS = 10.0

router = APIRouter(prefix="/runs", tags=["runs"])

_EXAMPLE = 'id: 17\nevent: metrics\ndata: {"attempt": 1, "time": "...", "step": 40, "values": {"loss": 5.1}}\n\n'


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The stream.", "content": {"text/event-stream": {"example": _EXAMPLE}}},
        **problems(404),
    },
)
async def stream_events(
    run_id: RunId,
    request: Request,
    lab: LabDep,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**62, description="Go on after this event.")] = None,
    after: Annotated[int, Query(ge=0, le=2**62, description="The same, for clients that cannot set headers.")] = 0,
) -> StreamingResponse:
    """Everything that happens to a run, from its beginning or after an event, live until it has ended.

    Events are `state`, `phase`, `metrics`, `progress`, `log`, `checkpoint`, `summary`, `artifact` and `end` (of an
    attempt), each with an id to go on from. The last one is `ended`; its data is the run. A comment line is sent now
    and then where nothing happens.
    """
    await run_in_threadpool(runs.read, lab, run_id)  # a 404 must come before the stream begins
    cursor = after if last_event_id is None else last_event_id
    return StreamingResponse(
        _follow(request, lab, run_id, cursor),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _follow(request: Request, lab: Lab, run_id: str, cursor: int) -> AsyncGenerator[str]:
    yield "retry: 1000\n\n"
    last_sent = time.monotonic()
    while not request.app.state.closing.is_set():
        try:
            entries, run, is_all = await run_in_threadpool(stream.entries_after, lab, run_id, cursor)
        except NotFoundError:
            yield "event: deleted\ndata: {}\n\n"
            return
        if entries:
            cursor, last_sent = entries[-1].id, time.monotonic()
            yield "".join(map(_event_text, entries))
        if is_all:
            yield f"event: ended\ndata: {run.model_dump_json()}\n\n"
            return
        if time.monotonic() - last_sent > HEARTBEAT_SECONDS:
            last_sent = time.monotonic()
            yield ": still here\n\n"
        await anyio.sleep(POLL_SECONDS)


def _event_text(entry: JournalEntry) -> str:
    data = {"attempt": entry.attempt, "time": entry.time.isoformat(), **entry.data}
    return f"id: {entry.id}\nevent: {entry.kind}\ndata: {json.dumps(data)}\n\n"
