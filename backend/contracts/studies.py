"""Studies: a base config, axes that vary it, seeds, and the results by cell."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import Priority, RunRead, RunState

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AxisPoint(_Message):
    """One place on an axis: a label and the config fields it sets, by dotted path."""

    label: str = Field(min_length=1, max_length=100)
    set: dict[str, Any] = Field(
        min_length=1, max_length=20, examples=[{"training.batch_size": 256}], description="Dotted path: value."
    )


class Axis(_Message):
    """One thing that a study varies."""

    name: str = Field(min_length=1, max_length=100, examples=["batch size"])
    points: list[AxisPoint] = Field(min_length=1, max_length=50)


class StudyCreate(_Message):
    """A request to launch a study: one run for every combination of axis points and every seed."""

    name: str = Field(min_length=1, max_length=200)
    base: ExperimentConfig = Field(default_factory=ExperimentConfig)
    axes: list[Axis] = Field(min_length=1, max_length=4)
    seeds: list[Seed] = Field(default_factory=lambda: [0], min_length=1, max_length=50)
    notes: str = Field(default="", max_length=20_000)
    priority: Priority = 0


class StudyRead(_Message):
    """A study; ``states`` counts its runs by state."""

    id: str
    name: str
    notes: str
    base: ExperimentConfig
    axes: list[Axis]
    seeds: list[int]
    states: dict[RunState, int]
    created_at: datetime


class StudyResult(_Message):
    """One run of a study with its place on each axis (axis name: point label) and its seed."""

    cell: dict[str, str]
    seed: int
    run: RunRead


class StudyResults(_Message):
    """All runs of a study, in grid order."""

    study: StudyRead
    results: list[StudyResult]


class Preset(_Message):
    """A ready-made study or run to start from."""

    id: str
    title: str
    description: str
    study: StudyCreate | None = None
    config: ExperimentConfig | None = None
