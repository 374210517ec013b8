"""The routes for live events (server-sent events): of one run, and of all."""

import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.runs import RunId
from backend.db.models import JournalEntry
from backend.hub import Hub
from backend.services import runs, stream
from backend.services.errors import NotFoundError

HEARTBEAT_SECONDS = 10.0
_OVERVIEW_PAUSE_SECONDS = 0.2

router = APIRouter(tags=["runs"])

LastEventId = Annotated[int | None, Header(ge=0, le=2**62, description="Go on after this event.")]
After = Annotated[
    int | None, Query(ge=0, le=2**62, description="The same, for clients that cannot set headers.", examples=[17])
]


def _description(data: str) -> dict[int | str, dict[str, Any]]:
    example = f"id: 17\n{data}\n\n"
    return {200: {"description": "The stream.", "content": {"text/event-stream": {"example": example}}}}


@router.get(
    "/runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        **_description('event: metrics\ndata: {"run_id": "...", "attempt": 1, "step": 40, "values": {"loss": 5.1}}'),
        **problems(404),
    },
)
async def stream_events(
    run_id: RunId, lab: LabDep, last_event_id: LastEventId = None, after: After = None
) -> StreamingResponse:
    """Everything that happens to a run, from its beginning or after an event, live until it has ended.

    Events are `state`, `phase`, `metrics`, `progress`, `log`, `environment`, `checkpoint`, `summary`, `artifact` and `end`
    (of an attempt), each with an id to go on from. The last one is `ended`; its data is the run. A comment line is sent
    now and then where nothing happens.
    """
    await run_in_threadpool(runs.read, lab, run_id)  # a 404 must come before the stream begins
    cursor = _cursor(last_event_id, after) or 0
    return _answer(_follow(lab.hub, run_id, partial(stream.of_run, lab, run_id), cursor))


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses=_description('event: state\ndata: {"run_id": "...", "from_state": "queued", "to_state": "running"}'),
)
async def stream_overview(lab: LabDep, last_event_id: LastEventId = None, after: After = None) -> StreamingResponse:
    """The states, phases and progress of all runs, from now on or after an event, without end.

    Events are `state`, `phase` and `progress`; their data names the run. Of a run's progress only the newest is kept.
    """
    cursor = _cursor(last_event_id, after)
    if cursor is None:
        cursor = await run_in_threadpool(stream.newest, lab)
    return _answer(_follow(lab.hub, None, partial(stream.of_all, lab), cursor, pause=_OVERVIEW_PAUSE_SECONDS))


def _cursor(last_event_id: int | None, after: int | None) -> int | None:
    return after if last_event_id is None else last_event_id


def _answer(events: AsyncGenerator[str]) -> StreamingResponse:
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


async def _follow(
    hub: Hub, run_id: str | None, read: Callable[[int], stream.Page], cursor: int, *, pause: float = 0.0
) -> AsyncGenerator[str]:
    """Pages as text as they come; with ``pause``, seconds between two, so that many small changes become one page."""
    yield "retry: 1000\n\n"
    with hub.watch(run_id) as watch:
        while not hub.closing:
            try:
                page = await run_in_threadpool(read, cursor)
            except NotFoundError:
                yield "event: deleted\ndata: {}\n\n"
                return
            cursor = page.cursor
            yield "".join(map(_event_text, page.entries)) or _heartbeat(cursor)
            if page.ended:
                yield f"event: ended\ndata: {json.dumps(page.ended.model_dump(mode='json'))}\n\n"
                return
            if page.is_last:
                await anyio.sleep(pause)
                while not await watch.news(HEARTBEAT_SECONDS):
                    yield _heartbeat(cursor)


def _heartbeat(cursor: int) -> str:
    """Nothing but where to go on: clients keep the id, and know that the connection is alive."""
    return f": still here\nid: {cursor}\n\n"


def _event_text(entry: JournalEntry) -> str:
    data = {"run_id": entry.run_id, "attempt": entry.attempt, "time": entry.time.isoformat(), **entry.data}
    return f"id: {entry.id}\nevent: {entry.kind}\ndata: {json.dumps(data)}\n\n"
