"""What an attempt runs on: all that besides config, seed and images is needed to repeat it."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

SOURCE = Path(__file__).resolve().parents[1]
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors", "scikit-learn", "timm", "umap-learn")
_DRIVER = Path("/proc/driver/nvidia/version")
_PROCESSORS = Path("/proc/cpuinfo")
_GIT_SECONDS = 10


def environment() -> dict[str, Any]:
    """The values of an ``EnvironmentEvent``. What cannot be found out is left out."""
    return {"git_commit": git_commit(SOURCE), "packages": packages(), "hardware": hardware()}


def git_commit(source: Path) -> str | None:
    """The commit that is checked out in this folder, with '+' where tracked files differ from it.

    None where the folder is no checkout of its own or there is no git.
    """
    root = _git(source, "rev-parse", "--show-toplevel")
    if root is None or Path(root) != source.resolve():
        return None
    commit, changes = _git(source, "rev-parse", "HEAD"), _git(source, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if commit and changes else commit


def _git(source: Path, *command: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(source), *command],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def packages() -> dict[str, str]:
    """Versions of Python and of the installed libraries that the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, float | int | str]:
    """Processor, cores, threads in use and memory (bytes); of each GPU its name; versions of driver, CUDA and cuDNN."""
    found: dict[str, float | int | str] = {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    if not torch.cuda.is_available():
        return found
    found |= {f"gpu{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    versions = {"driver": _driver(), "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found | {name: value for name, value in versions.items() if value is not None}


def _processor() -> str:
    """Its model where the system tells, else its kind."""
    listed = _PROCESSORS.read_text(errors="replace") if _PROCESSORS.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def _driver() -> str | None:
    told = re.search(r"\s(\d+\.\d+(\.\d+)?)\s", _DRIVER.read_text()) if _DRIVER.is_file() else None
    return told[1] if told else None
