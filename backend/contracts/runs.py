"""Runs as the API shows them, and what the worker and the backend say to each other about one."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.config import ExperimentConfig
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.events import Event, Phase

RunState = Literal["queued", "running", "stopping", "succeeded", "failed", "stopped"]
ENDED: frozenset[RunState] = frozenset({"succeeded", "failed", "stopped"})
Tag = Annotated[str, Field(min_length=1, max_length=50)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunCreate(_Message):
    """A request to launch a run. Every field but ``config`` may be left out, and so may every field inside it."""

    config: ExperimentConfig = Field(default_factory=ExperimentConfig)
    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Shown in lists. Empty: from the config."
    )
    tags: list[Tag] = Field(default_factory=list, max_length=20)
    notes: str = Field(default="", max_length=20_000)


class RunPatch(_Message):
    """The fields of a run that a person may change."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    tags: list[Tag] | None = Field(default=None, max_length=20)
    notes: str | None = Field(default=None, max_length=20_000)


class EvaluateRequest(_Message):
    """More evaluation of a finished run: the fields given replace those of the run's ``evaluation``, the rest stays."""

    evaluation: EvaluationConfig


class RunRead(_Message):
    """A run."""

    id: str
    name: str
    state: RunState
    phase: Phase | None
    progress: float = Field(description="Share done, 0 to 1, over pretraining and evaluation together.")
    eta_seconds: float | None
    config: ExperimentConfig
    summary: dict[str, Any] = Field(
        description="Results by name: linear_top1, knn_top1, loss, images_per_second, ... (accuracies as fractions of 1)."
    )
    attempts: int
    tags: list[str]
    notes: str
    study_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class RunPage(_Message):
    """A page of runs, newest first."""

    items: list[RunRead]
    total: int


class Transition(_Message):
    """One move of a run from state to state."""

    time: datetime
    from_state: RunState | None
    to_state: RunState
    actor: str
    reason: str
    attempt: int


class MetricSeries(_Message):
    """One metric over the steps of a run; the three lists have the same length."""

    name: str
    steps: list[int]
    epochs: list[float]
    values: list[float]


class LogLine(_Message):
    """A line of a run's log. ``id`` grows; ask for more with ``after=id``."""

    id: int
    time: datetime
    attempt: int
    level: Literal["info", "warning", "error"]
    message: str


class ArtifactRead(_Message):
    """A file a run produced."""

    name: str
    size_bytes: int
    sha256: str


class CheckpointRead(_Message):
    """A registered checkpoint."""

    name: str
    step: int
    sha256: str


class DatasetLocation(_Message):
    """Where a worker finds a dataset's pack: ``packs/<sha256>`` in the data directory. None for 'shapes'."""

    name: str
    pack_sha256: str | None


class ClaimRequest(_Message):
    """A worker asks for a run."""

    worker_id: str = Field(max_length=200)


class Claim(_Message):
    """The lease on a run: what the worker needs to train it. Checkpoints are newest first."""

    run_id: str
    attempt: int
    config: ExperimentConfig
    dataset: DatasetLocation
    transfer: list[DatasetLocation] = Field(
        default_factory=list["DatasetLocation"], description="The other datasets of evaluation.transfer."
    )
    checkpoints: list[CheckpointRead]
    lease_seconds: float


class EventBatch(_Message):
    """Events of one attempt, in order. An empty batch only renews the lease."""

    attempt: int = Field(ge=1)
    events: list[Event] = Field(max_length=1000)


class LeaseAnswer(_Message):
    """What the user wants of the run, and the last event number that the backend holds."""

    wish: Literal["go_on", "stop"]
    last_seq: int


class AttemptEnd(_Message):
    """The worker reports how an attempt ended. ``crashed``: the process ended without saying why."""

    attempt: int = Field(ge=1)
    outcome: Literal["succeeded", "failed", "stopped", "drained", "crashed"]
    error: str | None = Field(default=None, max_length=20_000)
