"""How many processor cores there are for this process, found without loading torch."""

import os
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may use: its affinity, and in a container the CPU quota (cgroup v2), at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota_file = Path("/sys/fs/cgroup/cpu.max")
    if quota_file.is_file():
        quota, period = quota_file.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores
