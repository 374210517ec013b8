"""The tests of the fence fail when the fence is gone: shown on copies of the backend without the attempt's check."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONDITION, ALWAYS_TRUE = "Run.attempts == attempt", "Run.id == run_id"
COPIED = ("backend", "migrations", "tests/backend")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The backend and its tests."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")]:
        shutil.copy(file, tmp_path / file.relative_to(ROOT))
    return tmp_path


def run_fence_tests(copy: Path) -> subprocess.CompletedProcess[str]:
    """Run them on SQLite, in the copy and with nothing of the original in sight."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-k", "sqlite"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        [*command, "tests/backend/test_fence.py"],
        cwd=copy,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_whole_copy_passes(copy: Path) -> None:
    done = run_fence_tests(copy)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("module", "failed_test", "assertion"),
    [
        ("attempts.py", "test_a_stale_attempt_can_neither_write_nor_end", "DID NOT RAISE .*LeaseLostError"),
        ("states.py", "test_a_stale_attempt_cannot_move_its_run", "AssertionError: a stale attempt has moved its run"),
    ],
)
def test_without_the_check_it_fails(copy: Path, module: str, failed_test: str, assertion: str) -> None:
    path = copy / "backend" / "services" / module
    source = path.read_text()
    assert source.count(CONDITION) == 1, f"{module} checks the attempt elsewhere now: name what is to be taken out"
    path.write_text(source.replace(CONDITION, ALWAYS_TRUE))
    done = run_fence_tests(copy)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    summary = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(summary) == 1
    assert f"::{failed_test}[sqlite]" in summary[0]
    assert re.search(assertion, done.stdout), done.stdout
