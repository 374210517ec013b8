"""What a benchmark runs on, and how fast its matrix units are: the scale on which the speed of a net is read."""

import os
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from worker.simclr.precision import Precision


def describe(device: torch.device, precision: Precision) -> str:
    """Processor, threads, versions and load, in one line."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(": ")[1] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = models[0] if models else processor
    if device.type == "cuda":
        processor = f"{torch.cuda.get_device_name(device)}, host {processor}"
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, ours in {precision}{load}"


def matrix_rate(device: torch.device, precision: Precision, *, side: int | None = None, seconds: float = 2.0) -> float:
    """Floating-point operations a second of a large matrix product in this precision: the best of many."""
    side = side or (8192 if device.type == "cuda" else 2048)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(a, b)
        wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that torch held on the GPU so far, or the most that this process held on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held before this process began
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
