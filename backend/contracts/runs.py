"""Runs as the API shows them, and what the worker and the backend say to each other about one."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from backend.contracts.bounds import MOST, Count, FiniteFloat, LongText, Name
from backend.contracts.changes import RunChanges
from backend.contracts.config import ExperimentConfig
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.events import Event, Phase

RunState = Literal["queued", "running", "stopping", "succeeded", "failed", "stopped"]
ENDED: frozenset[RunState] = frozenset({"succeeded", "failed", "stopped"})
Tag = Annotated[str, Field(min_length=1, max_length=50)]
Priority = Annotated[int, Field(ge=-100, le=100, description="Higher goes first in the queue.")]
Wish = Literal["go_on", "stop", "drain"]
"""What the backend wants of a running attempt; ``drain``: make a checkpoint and give the run back, it goes on elsewhere."""


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
    priority: Priority = 0


class RunPatch(_Message):
    """The fields of a run that a person may change."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    tags: list[Tag] | None = Field(default=None, max_length=20)
    notes: str | None = Field(default=None, max_length=20_000)
    priority: Priority | None = None


class QueueMove(_Message):
    """Where a queued run is to stand in the queue. It takes over the priority of its new neighbour."""

    before: str | None = Field(default=None, max_length=100, description="Before this queued run. Empty: at the end.")


class QueuePlace(_Message):
    """Where a queued run stands, and what it waits for."""

    position: int = Field(ge=1, description="1: the next.")
    can_be_served: bool = Field(description="Whether a worker that is there could take it, sooner or later.")
    reason: str = Field(description="What it waits for, in words.")


class EvaluateRequest(_Message):
    """More evaluation of a finished run: the fields given replace those of the run's ``evaluation``, the rest stays."""

    evaluation: EvaluationConfig


class RunEnvironment(_Message):
    """What a run's last attempt ran on."""

    git_commit: str | None
    packages: dict[str, str]
    hardware: dict[str, float | int | str]


class RunRead(_Message):
    """A run."""

    id: str
    name: str
    state: RunState
    phase: Phase | None
    progress: float = Field(description="Share done, 0 to 1, over pretraining and evaluation together.")
    step: int | None = Field(description="Steps of pretraining done.")
    total_steps: int | None
    epoch: float | None = Field(description="Epochs done, of config.training.epochs.")
    eta_seconds: float | None
    priority: int
    config: ExperimentConfig
    summary: dict[str, Any] = Field(
        description="Results by name: linear_top1, knn_top1, loss, images_per_second, ... (accuracies as fractions of 1)."
    )
    attempts: int
    worker_id: str | None = Field(description="The worker of the last attempt.")
    gpus: list[int] | None = Field(description="Indices of the worker's GPUs that the last attempt had.")
    environment: RunEnvironment | None
    pack_sha256: str | None = Field(description="Hash of the images that it trains on. None: they are rendered.")
    remedy: RunChanges | None = Field(
        description="Of a failed run: resumed with these changes it is expected to go on."
    )
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
    source: Literal["lab", "output"] = Field(description="'output': what the training process printed.")


class SystemSample(_Message):
    """Load of the machine as a run's training process caused it, by name: ``cpu_percent`` (100: one core),
    ``memory_bytes``; for GPU number N ``gpuN_percent``, ``gpuN_memory_bytes``, ``gpuN_celsius``, ``gpuN_watts``.
    """

    time: Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(5000, 1, 1, tzinfo=UTC))]
    values: dict[Name, FiniteFloat] = Field(max_length=1000)


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


class CheckpointListed(CheckpointRead):
    """The same, for people."""

    size_bytes: int
    time: datetime | None = Field(description="When it was complete.")


class DatasetLocation(_Message):
    """Where a worker finds a dataset's pack: ``packs/<sha256>`` in the data directory. None for 'shapes'."""

    name: str
    pack_sha256: str | None


class ClaimRequest(_Message):
    """A worker asks for a run. It has said before, by a beat, what it has to offer."""

    worker_id: str = Field(max_length=200)


class Claim(_Message):
    """The lease on a run: what the worker needs to train it. Checkpoints are newest first."""

    run_id: str
    attempt: int
    gpus: list[int] = Field(description="Indices of the GPUs that are its own until it ends. Empty: the processor.")
    config: ExperimentConfig
    dataset: DatasetLocation
    transfer: list[DatasetLocation] = Field(
        default_factory=list["DatasetLocation"], description="The other datasets of evaluation.transfer."
    )
    checkpoints: list[CheckpointRead]
    lease_seconds: float


class OutputLines(_Message):
    """Lines that the training process printed, from byte ``start`` to byte ``end`` of what it has printed in this attempt.

    A repeated post is recognised by ``end``.
    """

    start: Count
    end: Count
    lines: list[LongText] = Field(max_length=1000)


class EventBatch(_Message):
    """Events of one attempt, in order. An empty batch only renews the lease."""

    attempt: int = Field(ge=1, le=MOST)
    events: list[Event] = Field(max_length=1000)
    output: OutputLines | None = None
    system: SystemSample | None = None


class LeaseAnswer(_Message):
    """What is wanted of the run, and the last event number that the backend holds."""

    wish: Wish
    last_seq: int


class WishAnswer(_Message):
    """What is wanted of the run now."""

    wish: Wish


class AttemptEnd(_Message):
    """The worker reports how an attempt ended. ``crashed``: the process ended without saying why."""

    attempt: int = Field(ge=1, le=MOST)
    outcome: Literal["succeeded", "failed", "stopped", "drained", "no_space", "crashed"]
    error: str | None = Field(default=None, max_length=20_000)
    remedy: RunChanges | None = None
