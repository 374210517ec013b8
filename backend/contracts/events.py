"""Events: what the training process writes to ``events.jsonl``, one JSON object a line, and the worker ships.

``(attempt, seq)`` numbers an event: ``seq`` counts from 1 within an attempt, so a repeated post is recognised.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backend.contracts.bounds import MOST, Count, FiniteFloat, Integer, LongText, Name, Sha256, ShortText
from backend.contracts.changes import RunChanges

Phase = Literal["loading", "pretraining", "evaluating"]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: int = Field(ge=1, le=MOST, description="The attempt that wrote it.")
    seq: int = Field(ge=1, le=MOST, description="Number within the attempt, without gaps.")
    time: float = Field(ge=0, le=1e11, description="Seconds since 1970, UTC.")


class PhaseEvent(_Event):
    """The run enters a phase."""

    kind: Literal["phase"] = "phase"
    phase: Phase


class MetricsEvent(_Event):
    """Metrics measured at a step of pretraining (``step`` steps are done)."""

    kind: Literal["metrics"] = "metrics"
    step: Count
    epoch: float = Field(ge=0, le=1e6)
    values: dict[Name, FiniteFloat] = Field(max_length=1000)


class ProgressEvent(_Event):
    """How far the run is, over pretraining and evaluation together."""

    kind: Literal["progress"] = "progress"
    step: Count
    total_steps: int = Field(ge=1, le=MOST)
    progress: float = Field(ge=0, le=1)
    eta_seconds: float | None = Field(default=None, ge=0, le=1e15)


class LogEvent(_Event):
    """A line for a person."""

    kind: Literal["log"] = "log"
    level: Literal["info", "warning", "error"] = "info"
    message: str = Field(max_length=20_000)


class EnvironmentEvent(_Event):
    """What this attempt runs on: with config, seed and the hash of the images, all that is needed to repeat it."""

    kind: Literal["environment"] = "environment"
    git_commit: str | None = Field(default=None, max_length=200, description="'+' at its end: with changes on top.")
    packages: dict[Name, ShortText] = Field(max_length=10_000, description="Versions by name, python among them.")
    hardware: dict[Name, FiniteFloat | Integer | ShortText] = Field(
        max_length=1000, description="Processor, cores, memory, GPUs, driver, CUDA."
    )


class CheckpointEvent(_Event):
    """A checkpoint is complete on disk: every event before this one belongs to what it holds."""

    kind: Literal["checkpoint"] = "checkpoint"
    name: str = Field(pattern=r"^ck-[0-9]{1,19}-a[0-9]{1,19}$")
    step: Count
    sha256: Sha256
    size_bytes: Count


class SummaryEvent(_Event):
    """Results by name, merged into the run's summary. Accuracies are fractions of 1."""

    kind: Literal["summary"] = "summary"
    values: dict[Name, FiniteFloat | Integer | LongText | None] = Field(max_length=10_000)


class ArtifactEvent(_Event):
    """A finished file in the run directory's ``artifacts`` folder, for the worker to upload."""

    kind: Literal["artifact"] = "artifact"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    sha256: Sha256
    size_bytes: Count


class EndEvent(_Event):
    """The last event of an attempt. ``drained`` and ``stopped`` follow a checkpoint; ``no_space``: the disk is full."""

    kind: Literal["end"] = "end"
    outcome: Literal["succeeded", "failed", "stopped", "drained", "no_space"]
    error: str | None = Field(default=None, max_length=20_000)
    remedy: RunChanges | None = Field(default=None, description="With these changes it is expected to go on.")


Event = Annotated[
    PhaseEvent
    | MetricsEvent
    | ProgressEvent
    | LogEvent
    | EnvironmentEvent
    | CheckpointEvent
    | SummaryEvent
    | ArtifactEvent
    | EndEvent,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(line: str | bytes) -> Event:
    """One line of an event log. Raises pydantic.ValidationError where it is no event."""
    return _ADAPTER.validate_json(line)
