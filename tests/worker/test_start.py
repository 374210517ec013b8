"""One command starts the worker that fits the machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import a_gpu
from tests.worker.bench import is_alive, wait_until
from worker import start

ROOT = Path(__file__).parents[2]


class BecameError(Exception):
    """The command that took the process's place."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Sets the number of GPUs; starting raises BecameError instead."""

    def become(_path: str, command: list[str]) -> None:
        raise BecameError(*command)

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setenv(start.SLOTS_VARIABLE, "1")
    return lambda gpus: monkeypatch.setattr(start, "find_gpus", lambda: [a_gpu(index) for index in range(gpus)])


def option(command: tuple[str, ...], name: str) -> str:
    return command[command.index(name) + 1]


@pytest.mark.parametrize(
    ("gpus", "argv", "setting", "slots"),
    [
        (0, [], "1", "1"),
        (0, ["--slots-per-gpu", "3"], "1", "3"),
        (4, [], "1", "4"),
        (4, [], "2", "8"),
        (4, ["--slots-per-gpu", "3"], "2", "12"),
    ],
)
def test_the_node_has_a_pool_process_for_each_slot(machine, monkeypatch, gpus, argv, setting, slots):
    machine(gpus)
    monkeypatch.setenv(start.SLOTS_VARIABLE, setting)
    with pytest.raises(BecameError) as became:
        start.main(argv)
    command = became.value.args
    assert option(command, "-Q") == "runs"
    assert option(command, "-c") == slots
    assert option(command, "-P") == "prefork"


def test_the_pool_learns_the_slots_from_its_environment(machine):
    machine(2)
    with pytest.raises(BecameError):
        start.main(["--slots-per-gpu", "5"])
    assert os.environ[start.SLOTS_VARIABLE] == "5"


def test_imports_and_previews_have_a_node_of_one(machine):
    machine(4)
    with pytest.raises(BecameError) as became:
        start.main(["--queues", "interactive"])
    assert option(became.value.args, "-Q") == "interactive"
    assert option(became.value.args, "-c") == "1"


@pytest.mark.parametrize("argv", [["--slots-per-gpu", "0"], ["--slots-per-gpu", "65"], ["--queues", "all"]])
def test_a_command_that_is_wrong_is_told_so(argv: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        start.main(argv)
    assert f"argument {argv[0]}" in capsys.readouterr().err


def test_a_setting_that_is_wrong_is_named(machine, monkeypatch, capsys: pytest.CaptureFixture[str]):
    machine(0)
    monkeypatch.setenv(start.SLOTS_VARIABLE, "many")
    assert start.main([]) == 2
    assert capsys.readouterr().err.startswith("SIMCLR_LAB_SLOTS_PER_GPU: ")


KEEPING = """
import sys
from worker.start import keep
node = [sys.executable, "-c", "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"]
sys.exit(keep([[*node, path] for path in sys.argv[1:]]))
"""


@pytest.mark.parametrize("victim", ["keeper", "node"])
def test_two_nodes_end_together(tmp_path: Path, victim: str):
    names = [tmp_path / "one", tmp_path / "two"]
    with subprocess.Popen([sys.executable, "-c", KEEPING, *map(str, names)], cwd=ROOT) as keeper:
        wait_until(lambda: all(name.exists() and name.read_text() for name in names))
        nodes = [int(name.read_text()) for name in names]
        os.kill(keeper.pid if victim == "keeper" else nodes[0], signal.SIGTERM)
        assert keeper.wait(timeout=30) != 0
    assert not any(is_alive(node) for node in nodes)
