"""Events as a training process would write them."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from backend.contracts.events import Event
from backend.contracts.runs import EventBatch

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def event(kind: str, seq: int, *, attempt: int = 1, **values: Any) -> Event:
    return _ADAPTER.validate_python(
        {"kind": kind, "seq": seq, "attempt": attempt, "time": 1_700_000_000.0 + seq, **values}
    )


def loss(seq: int, step: int, value: float = 5.0, *, attempt: int = 1) -> Event:
    """A loss at a step; ten steps are an epoch."""
    return event("metrics", seq, attempt=attempt, step=step, epoch=step / 10, values={"loss": value})


def batch(*events: Event, attempt: int = 1) -> EventBatch:
    return EventBatch(attempt=attempt, events=list(events))


def losses(steps: Sequence[int]) -> EventBatch:
    """The loss 1/step at each of these steps."""
    return batch(*(loss(seq, step, 1 / step) for seq, step in enumerate(steps, start=1)))
