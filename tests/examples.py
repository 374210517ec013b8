"""Examples of messages, whole and valid; a test names what it is about."""

from datetime import UTC, datetime
from typing import Any

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import RunRead
from backend.contracts.workers import Gpu, WorkerBeat

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GIB = 1 << 30


def a_gpu(index: int = 0, name: str = "NVIDIA H100") -> Gpu:
    return Gpu(index=index, name=name, uuid=f"GPU-{index}", memory_bytes=80 * GIB)


def a_beat(worker_id: str = "w-1", *, gpus: int = 0, gpu: str = "NVIDIA H100", **values: Any) -> WorkerBeat:
    """A worker with so many GPUs of this name."""
    example: dict[str, Any] = {
        "id": worker_id,
        "host": "lab",
        "gpus": [a_gpu(index, gpu) for index in range(gpus)],
        "slots_per_gpu": 1,
        "cores": 2,
        "cpu_percent": 10.0,
        "memory_bytes": 8 * GIB,
        "memory_used_bytes": 2 * GIB,
        "disk_bytes": 100 * GIB,
        "disk_free_bytes": 50 * GIB,
        "versions": {"python": "3.11", "torch": "2.11", "simclr_lab": "0.1.0"},
    }
    return WorkerBeat.model_validate(example | values)


def a_run(run_id: str = "r1", **values: Any) -> RunRead:
    """A run that has succeeded."""
    example: dict[str, Any] = {
        "id": run_id,
        "name": f"run {run_id}",
        "state": "succeeded",
        "phase": None,
        "progress": 1.0,
        "step": None,
        "total_steps": None,
        "epoch": None,
        "eta_seconds": None,
        "priority": 0,
        "config": ExperimentConfig(),
        "summary": {},
        "attempts": 1,
        "worker_id": None,
        "gpus": None,
        "environment": None,
        "pack_sha256": None,
        "remedy": None,
        "tags": [],
        "notes": "",
        "study_id": None,
        "created_at": NOW,
        "started_at": NOW,
        "finished_at": NOW,
        "error": None,
    }
    return RunRead.model_validate(example | values)
