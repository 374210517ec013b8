"""What an attempt says of what it runs on."""

import platform
import subprocess

import torch

from backend.contracts.events import EnvironmentEvent
from worker import environment
from worker.environment import git_commit, hardware, packages


def git(folder, *command):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_that_of_the_folder_with_a_plus_where_files_were_changed(tmp_path):
    git(tmp_path, "init")
    assert git_commit(tmp_path) is None  # nothing is committed yet
    file = tmp_path / "code.py"
    file.write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "notes.txt").write_text("not code")
    assert git_commit(tmp_path) == head
    file.write_text("2")
    assert git_commit(tmp_path) == f"{head}+"
    inside = tmp_path / "installed"
    inside.mkdir()
    assert git_commit(inside) is None  # somebody else's checkout


def test_without_git_or_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    assert git_commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(environment.SOURCE) is None


def test_versions_are_those_installed_and_what_is_not_installed_is_left_out(monkeypatch):
    found = packages()
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"torchvision", "numpy", "pillow", "safetensors", "scikit-learn"} <= found.keys()
    monkeypatch.setattr(environment, "_PACKAGES", ("no-such-package",))
    assert packages().keys() == {"python"}


def test_the_hardware_is_named():
    found = hardware()
    assert found["cores"] >= 1
    assert found["threads"] == torch.get_num_threads()
    assert found["memory_bytes"] > 2**28
    assert found["processor"]


def test_the_driver_is_read_from_what_it_tells(tmp_path, monkeypatch):
    told = tmp_path / "version"
    told.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (dvs-builder)\nGCC version:\n"
    )
    monkeypatch.setattr(environment, "_DRIVER", told)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    found = hardware()
    assert found["driver"] == "570.133.20"
    assert (found["gpu0"], found["gpu1"]) == ("GPU 0", "GPU 1")


def test_it_is_an_event():
    event = EnvironmentEvent(attempt=1, seq=1, time=0, **environment.environment())
    assert event.packages["torch"]
