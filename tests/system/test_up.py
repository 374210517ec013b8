"""``make up``: what keeps it from starting is told in one line; Ctrl-C leaves no process; runs go on afterwards."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import ROOT, RunningLab, busyness, import_tiny, tiny_config, wait_until

EPOCHS = 60


def refusal(lab: RunningLab, **settings: str) -> str:
    """The one line with which the lab refuses to start."""
    done = subprocess.run(
        [sys.executable, "-m", "backend.up"],
        cwd=ROOT,
        env={**lab.environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[RunningLab]:
    lab = RunningLab(tmp_path)
    yield lab
    lab.stop()


@pytest.mark.parametrize(("variable", "what"), [("SIMCLR_LAB_API_PORT", "the API"), ("SIMCLR_LAB_UI_PORT", "the page")])
def test_a_port_that_is_taken(lab: RunningLab, variable: str, what: str):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refusal(lab, **{variable: str(port)})
    assert line.startswith(f"Port {port}, for {what}, cannot be used")
    assert f"{variable}={port + 1} make up" in line


def test_one_port_for_both(lab: RunningLab):
    line = refusal(lab, SIMCLR_LAB_API_PORT="8777", SIMCLR_LAB_UI_PORT="8777")
    assert line == "SIMCLR_LAB_API_PORT and SIMCLR_LAB_UI_PORT are both 8777: choose two ports."


def test_a_data_directory_that_cannot_be_written(lab: RunningLab, tmp_path: Path):
    (tmp_path / "file").touch()
    line = refusal(lab, SIMCLR_LAB_HOME=str(tmp_path / "file" / "lab"))
    assert line.startswith(f"The data directory {tmp_path}/file/lab cannot be written")
    assert "SIMCLR_LAB_HOME=" in line


def test_a_data_directory_without_permission(lab: RunningLab, tmp_path: Path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    assert "cannot be written (Permission denied)" in refusal(lab)
    tmp_path.chmod(0o700)


def test_a_setting_that_is_no_number(lab: RunningLab):
    assert refusal(lab, SIMCLR_LAB_API_PORT="http").startswith("SIMCLR_LAB_API_PORT is 'http': ")


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch):
    from backend import up

    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(up.CannotStartError, match=r"too old: SimCLR Lab needs 3\.11"):
        up.check_python()


def test_ctrl_c_leaves_no_process_and_what_ran_or_waited_goes_on_at_the_next_start(lab: RunningLab, images: Path):
    lab.start()
    import_tiny(lab, images)
    assert f"process {lab.up_pid}" in refusal(lab), "a second instance in the same data directory"
    running, waiting = lab.launch(tiny_config(epochs=EPOCHS)), lab.launch(tiny_config(epochs=1))
    lab.wait_for_step(running, 30)
    assert len(lab.processes()) > 5

    lab.stop()
    assert lab.processes() == []

    assert lab.start() < 15 * busyness()
    wait_until(lambda: lab.client.run(running).state != "queued", "the run goes on")
    ended = lab.wait_for_end(running)
    assert (ended.state, ended.attempts) == ("succeeded", 2)
    assert "its worker shuts down; goes on elsewhere or later" in [
        move.reason for move in lab.client.transitions(running)
    ]
    reported = [step for step, _ in lab.metrics(running)["learning_rate"]]
    assert reported == sorted(set(reported))
    assert reported[-1] == 4 * EPOCHS
    assert lab.wait_for_end(waiting).state == "succeeded"


def test_a_killed_up_takes_everything_with_it(lab: RunningLab):
    lab.start()
    lab.kill()
    wait_until(lambda: lab.processes() == [], "every process is gone", seconds=30)
