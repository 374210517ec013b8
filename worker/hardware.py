"""What this machine has and how busy it is, without loading torch: seconds and memory that the training needs."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pynvml

from backend.contracts.workers import Gpu

T = TypeVar("T")
_MILLIWATTS = 1000


@dataclass(frozen=True)
class Load:
    """Processor (percent of all cores together), memory and disk, in bytes."""

    cpu_percent: float
    memory_bytes: int
    memory_used_bytes: int
    disk_bytes: int
    disk_free_bytes: int


def measure_load(folder: Path) -> Load:
    """The machine now, and the disk that holds ``folder``, which need not be there yet. The processor since the last call."""
    memory = psutil.virtual_memory()
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    disk = psutil.disk_usage(str(there))
    return Load(
        cpu_percent=psutil.cpu_percent(),
        memory_bytes=memory.total,
        memory_used_bytes=memory.total - memory.available,
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
    )


def find_gpus() -> list[Gpu]:
    """The GPUs that this worker may use, with their load; [] where NVML is not there or fails.

    Numbered as nvidia-smi does, by place on the bus. CUDA_VISIBLE_DEVICES, where it is set, says which. What a GPU
    does not tell is None; one that has fallen off the bus is left out.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        found = [_describe(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return [gpu for gpu in found if gpu is not None and _is_visible(gpu)]


def _describe(index: int) -> Gpu | None:
    handle = _ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return None
    memory: Any = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    rates: Any = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    power = _ask(pynvml.nvmlDeviceGetPowerUsage, handle)
    return Gpu(
        index=index,
        name=_ask(pynvml.nvmlDeviceGetName, handle) or "GPU",
        uuid=_ask(pynvml.nvmlDeviceGetUUID, handle) or "",
        memory_bytes=memory.total if memory else 0,
        memory_used_bytes=memory.used if memory else None,
        utilisation_percent=rates.gpu if rates else None,
        celsius=_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        watts=None if power is None else power / _MILLIWATTS,
    )


def _ask(query: Callable[..., T], *arguments: object) -> T | None:
    try:
        return query(*arguments)
    except pynvml.NVMLError:
        return None


def _is_visible(gpu: Gpu) -> bool:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return True
    names = [name.strip() for name in chosen.split(",")]
    return str(gpu.index) in names or any(name.startswith("GPU-") and gpu.uuid.startswith(name) for name in names)
