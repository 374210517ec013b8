"""Live events as the backend streams them (server-sent events), and reading them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class LiveEvent(BaseModel):
    """Something that happened to a run."""

    model_config = ConfigDict(frozen=True)

    id: int | None = Field(description="Go on after it. None: of the last one, after which nothing comes.")
    kind: str = Field(description="state, metrics, log, ...; 'ended' and 'deleted' are the last ones.")
    data: dict[str, Any]


class EventStream:
    """A stream of events over one or several connections; ``last_id`` is where the next one goes on."""

    def __init__(self, last_id: int | None = None) -> None:
        self.last_id = last_id

    def read(self, lines: Iterable[str]) -> Iterator[LiveEvent]:
        """The events of one connection. One that breaks off in its middle is left out, and comes again."""
        fields: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            number = int(fields["id"]) if "id" in fields else None
            self.last_id = self.last_id if number is None else number
            if "data" in fields:
                yield LiveEvent(id=number, kind=fields["event"], data=json.loads(fields["data"]))
            fields = {}
