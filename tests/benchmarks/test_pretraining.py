"""The benchmark runs as a command and prints its ratios."""

import os
import re
import subprocess
import sys

import pytest


def test_the_benchmark_prints_speed_memory_and_ratio_of_every_contender():
    names = ["ours", "torchvision", "bare"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pretraining", "--smoke", "--contenders", *names],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert "1 threads" in done.stdout
    lines = {
        match[1]: match for match in re.finditer(r"^  (\w+)" + r"\s+([\d.]+)%?" * 4 + "$", done.stdout, re.MULTILINE)
    }
    assert list(lines) == names
    speeds = {name: float(match[2]) for name, match in lines.items()}
    for match in lines.values():
        speed, memory, share, ratio = map(float, match.groups()[1:])
        assert speed > 0
        assert 0.05 < memory < 20
        assert 0 <= share < 200
        assert ratio == pytest.approx(speeds["ours"] / speed, rel=0.1, abs=0.02)  # of one turn
