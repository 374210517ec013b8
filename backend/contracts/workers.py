"""Workers as the API shows them, and how one registers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WorkerBeat(_Message):
    """A worker says that it is alive, every few seconds."""

    id: str = Field(max_length=200, description="host-pid, unique among living workers.")
    host: str = Field(max_length=200)
    device: str = Field(max_length=200, description="The GPU's name, or 'CPU'.")
    cores: int = Field(ge=1)
    memory_bytes: int = Field(ge=0)
    versions: dict[str, str] = Field(description="python, torch, simclr_lab.")


class WorkerRead(WorkerBeat):
    """A worker with when it was last heard of, and the run it is at."""

    alive: bool
    last_seen: datetime
    run_id: str | None
