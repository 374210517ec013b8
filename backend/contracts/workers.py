"""Workers as the API shows them, and how one registers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.bounds import Count, Name, ShortText


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Gpu(_Message):
    """A GPU of a worker's machine, and its load where the driver tells (NVML)."""

    index: int = Field(ge=0, le=1000)
    name: str = Field(max_length=200)
    uuid: str = Field(max_length=200)
    memory_bytes: Count
    memory_used_bytes: Count | None = None
    utilisation_percent: float | None = Field(default=None, ge=0, le=100)
    celsius: float | None = Field(default=None, ge=-273.15, le=10_000)
    watts: float | None = Field(default=None, ge=0, le=1e6)


class WorkerBeat(_Message):
    """A worker says that it is alive, what it has to offer and how busy it is, every few seconds."""

    id: str = Field(max_length=200, description="host-pid, unique among living workers.")
    host: str = Field(max_length=200)
    gpus: list[Gpu] = Field(max_length=64)
    slots_per_gpu: int = Field(ge=1, le=64, description="Runs at once on each GPU; without a GPU, on the processor.")
    cores: int = Field(ge=1, le=1_000_000)
    cpu_percent: float = Field(ge=0, le=1000, description="Of all cores together, 0 to 100.")
    memory_bytes: Count
    memory_used_bytes: Count
    disk_bytes: Count = Field(description="Size of the disk that holds the data directory.")
    disk_free_bytes: Count
    versions: dict[Name, ShortText] = Field(max_length=100, description="python, torch, simclr_lab.")

    @property
    def device(self) -> str:
        """The first GPU's name, or 'CPU'."""
        return self.gpus[0].name if self.gpus else "CPU"

    @property
    def slots(self) -> int:
        """Runs at once on the whole machine."""
        return self.slots_per_gpu * max(1, len(self.gpus))


class WorkerRead(WorkerBeat):
    """A worker with when it was last heard of, and the runs it is at."""

    alive: bool
    draining: bool = Field(description="It takes no run until it is told to again.")
    last_seen: datetime
    run_ids: list[str]
