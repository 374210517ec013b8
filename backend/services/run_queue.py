"""The queue as people see it: who waits, where, for what; and moving a run in it."""

import math
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.contracts.runs import QueueMove, QueuePlace, RunRead
from backend.db.models import Run
from backend.services import runs
from backend.services.errors import ConflictError, InvalidError
from backend.services.lab import Lab
from backend.services.offers import Offer, living_offers
from backend.services.scheduling import QUEUE_ORDER, WaitingRun, next_for, waiting_runs

_NO_WORKER = "No worker is running: start one with `make up` or `python -m worker.start`."
_ALL_DRAIN = "Every worker that could take it is draining: let one take runs again on the Workers page."
_NO_SPACE = "The disk is full on every worker that could take it: it goes on when there is room."


def listed(lab: Lab) -> list[RunRead]:
    """The queued runs, the next one first."""
    with lab.database.read() as session:
        rows = session.scalars(select(Run).where(Run.state == "queued").order_by(*QUEUE_ORDER))
        return [runs.read_model(run) for run in rows]


def place(lab: Lab, run_id: str) -> QueuePlace:
    """Where a run stands and what it waits for. Raises NotFoundError, or ConflictError where it is not queued."""
    with lab.database.read() as session:
        run = runs.get(session, run_id)
        queue = waiting_runs(session)
        offers = living_offers(session, min_free_bytes=lab.settings.min_free_bytes)
    index = next((index for index, run in enumerate(queue) if run.id == run_id), None)
    if index is None:
        raise _not_queued(run)
    can_be_served, reason = what_it_waits_for(queue, index, offers)
    return QueuePlace(position=index + 1, can_be_served=can_be_served, reason=reason)


def what_it_waits_for(queue: Sequence[WaitingRun], index: int, offers: Sequence[Offer]) -> tuple[bool, str]:
    """Whether one of these workers could take the run at this place, sooner or later; and what it waits for."""
    run = queue[index]
    able = [offer for offer in offers if offer.can_ever_serve(run.gpus)]
    if not able:
        return False, _needs(run.gpus, max(len(offer.load) for offer in offers)) if offers else _NO_WORKER
    takers = [offer for offer in able if offer.takes_runs]
    if not takers:
        return False, _ALL_DRAIN if all(offer.is_draining for offer in able) else _NO_SPACE
    turns = [offer for offer in takers if next_for(offer, queue) == run]
    if not turns:
        return True, _behind(sum(any(offer.can_ever_serve(other.gpus) for offer in takers) for other in queue[:index]))
    if any(offer.allot(run.gpus) is not None for offer in turns):
        return True, "It starts as soon as a worker asks."
    return True, f"It is next, and waits for {_free_places(run.gpus)}."


def move(lab: Lab, run_id: str, request: QueueMove) -> RunRead:
    """Put a queued run before another one, or at the end, with the priority of its new neighbour.

    Raises NotFoundError, ConflictError where it is not queued, InvalidError where the other one is not.
    """
    with lab.database.write() as session:
        queue = _lock_queue(session)
        run = next((run for run in queue if run.id == run_id), None)
        if run is None:
            raise _not_queued(runs.get(session, run_id))
        if request.before != run_id:
            queue.remove(run)
            _put(run, queue, _index_of(queue, request.before))
    return runs.read_model(run)


def _not_queued(run: Run) -> ConflictError:
    return ConflictError(f"The run is {run.state}, not queued: it has no place in the queue.")


def _lock_queue(session: Session) -> list[Run]:
    """The queued runs in order, locked by id: so two moves at once wait for each other instead of for ever."""
    rows = session.scalars(select(Run).where(Run.state == "queued").order_by(Run.id).with_for_update())
    return sorted(rows, key=lambda run: (-run.priority, run.rank, run.id))


def _put(run: Run, queue: list[Run], index: int) -> None:
    """Give the run the priority of its neighbour, and a rank between its neighbours of that priority."""
    if not queue:
        return
    run.priority = queue[min(index, len(queue) - 1)].priority
    before = [other for other in queue[:index] if other.priority == run.priority]
    after = [other for other in queue[index:] if other.priority == run.priority]
    if before and after:
        run.rank = (before[-1].rank + after[0].rank) / 2
        if not before[-1].rank < run.rank < after[0].rank:  # no number is left between them
            _spread([*before, run, *after])
    elif after:
        run.rank = after[0].rank - 1
    else:
        run.rank = max(time.time(), math.nextafter(before[-1].rank, math.inf))


def _spread(queue: Sequence[Run]) -> None:
    """Ranks a second apart that end now: what is launched later stands behind them."""
    now = time.time()
    for place, run in enumerate(reversed(queue)):
        run.rank = now - place


def _index_of(queue: Sequence[Run], run_id: str | None) -> int:
    if run_id is None:
        return len(queue)
    for index, run in enumerate(queue):
        if run.id == run_id:
            return index
    raise InvalidError.field("before", f"there is no queued run '{run_id}'")


def _needs(gpus: int, most: int) -> str:
    there = f"the largest worker has {most}" if most else "no worker has one"
    return f"It needs {gpus} GPU{'s' if gpus > 1 else ''}; {there}."


def _behind(count: int) -> str:
    return "1 run is ahead of it." if count == 1 else f"{count} runs are ahead of it."


def _free_places(gpus: int) -> str:
    return f"{gpus} free GPUs on one worker" if gpus > 1 else "a free slot on a worker"
