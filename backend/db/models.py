"""The tables. Runs are the centre; what hangs on a run goes when the run goes."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Double, ForeignKey, Index, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from backend.contracts.runs import RunState
from backend.contracts.tokens import Role
from backend.db.types import CleanText, UtcDateTime, WideInteger

_OF_RUN = "runs.id"


class Base(DeclarativeBase):
    """Names of constraints follow a rule, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: CleanText,
        int: WideInteger,
        float: Double,
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        dict[str, str]: JSON,
    }


class Study(Base):
    """A grid of runs: a base config, the axes that vary it, and seeds."""

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    notes: Mapped[str]
    base: Mapped[dict[str, Any]]
    axes: Mapped[list[Any]]
    seeds: Mapped[list[Any]]
    created_at: Mapped[datetime]


class Run(Base):
    """A run and where it stands. ``attempts`` only grows: it fences writes of workers that lost their lease."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    notes: Mapped[str]
    tags: Mapped[list[Any]]
    config: Mapped[dict[str, Any]]
    dataset: Mapped[str] = mapped_column(index=True)
    pack_sha256: Mapped[str | None]  # the very images the run was launched with
    transfer_packs: Mapped[dict[str, Any] | None]  # the same for the datasets of evaluation.transfer, by name
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"), index=True)
    position: Mapped[int | None]  # place in the study's grid
    cell: Mapped[dict[str, str] | None]
    seed: Mapped[int]
    state: Mapped[RunState] = mapped_column(CleanText, index=True)
    priority: Mapped[int]
    rank: Mapped[float]  # place among the runs of a priority, lowest first; at launch the time
    phase: Mapped[str | None]
    progress: Mapped[float]
    step: Mapped[int | None]
    total_steps: Mapped[int | None]
    eta_seconds: Mapped[float | None]
    summary: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    remedy: Mapped[dict[str, Any] | None]  # changes with which it is expected to go on
    environment: Mapped[dict[str, Any] | None]  # of the last attempt
    attempts: Mapped[int]
    failures: Mapped[int]  # attempts crashed or lost since the launch, the last checkpoint or the last resume
    last_seq: Mapped[int]  # of the current attempt
    output_end: Mapped[int]  # bytes of the current attempt's output that the journal holds
    worker_id: Mapped[str | None]
    gpus: Mapped[list[Any] | None]  # indices of the worker's GPUs
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_runs_created_at_id", "created_at", "id"),)


class Transition(Base):
    """One move of a run from state to state."""

    __tablename__ = "transitions"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"), index=True)
    time: Mapped[datetime]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str]
    attempt: Mapped[int]

    __table_args__ = ({"sqlite_autoincrement": True},)


class JournalEntry(Base):
    """What happened to a run, in order: the log and the live stream read it. ``id`` never comes twice."""

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"))
    attempt: Mapped[int]
    time: Mapped[datetime]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        Index("ix_journal_run_id_id", "run_id", "id"),
        Index("ix_journal_run_id_kind_id", "run_id", "kind", "id"),
        {"sqlite_autoincrement": True},
    )


class SystemRow(Base):
    """A sample of the load that a run causes."""

    __tablename__ = "system_samples"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"))
    time: Mapped[datetime]
    values: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_system_samples_run_id_id", "run_id", "id"), {"sqlite_autoincrement": True})


class MetricPoint(Base):
    """One metric at one step. A later attempt that measures the step again replaces the point."""

    __tablename__ = "metric_points"

    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[float]
    value: Mapped[float]

    __table_args__ = ({"sqlite_with_rowid": False},)


class Checkpoint(Base):
    """A checkpoint that is complete on the worker's disk."""

    __tablename__ = "checkpoints"

    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int]
    attempt: Mapped[int]
    sha256: Mapped[str]
    size_bytes: Mapped[int]


class Artifact(Base):
    """A file that a run produced; its bytes are in the data directory."""

    __tablename__ = "artifacts"

    run_id: Mapped[str] = mapped_column(ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str]


class Dataset(Base):
    """An imported dataset. (``shapes`` is built in and has no row.)"""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(primary_key=True)
    import_id: Mapped[str]  # a new one each import: late reports of an older import are refused
    source: Mapped[str]
    source_path: Mapped[str | None]
    image_size: Mapped[int]
    test_share: Mapped[float]
    channels: Mapped[str]  # 'auto', '1' or '3'
    state: Mapped[str]
    progress: Mapped[float]
    error: Mapped[str | None]
    pack_sha256: Mapped[str | None] = mapped_column(index=True)
    stats: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    sends: Mapped[int]
    seen_at: Mapped[datetime]  # when it was last known to wait in the broker or to be worked at


class Worker(Base):
    """A worker that was heard of."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    gpus: Mapped[list[Any]]
    slots_per_gpu: Mapped[int]
    cores: Mapped[int]
    cpu_percent: Mapped[float]
    memory_bytes: Mapped[int]
    memory_used_bytes: Mapped[int]
    disk_bytes: Mapped[int]
    disk_free_bytes: Mapped[int]
    versions: Mapped[dict[str, str]]
    draining: Mapped[bool] = mapped_column(default=False)
    last_seen: Mapped[datetime] = mapped_column(index=True)


class Token(Base):
    """A secret that lets in, known by its hash."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[Role] = mapped_column(CleanText)
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
