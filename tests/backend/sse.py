"""Reading server-sent events as the standard says, apart from the client's own reader."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Received:
    id: int | None
    kind: str
    data: dict[str, Any]


def received(lines: Iterator[str]) -> Iterator[Received]:
    """The events of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            number = fields.get("id")
            yield Received(None if number is None else int(number), fields["event"], json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}
