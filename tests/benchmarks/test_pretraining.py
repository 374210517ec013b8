"""The benchmark runs as a command and prints its ratios."""

import re
import subprocess
import sys


def test_the_benchmark_prints_speeds_and_ratios():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pretraining", "--smoke"],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert "1 threads" in done.stdout
    speeds = re.search(r"^smoke" + r"\s+([\d.]+)" * 5 + "$", done.stdout, re.MULTILINE)
    ours, reference, bare, by_reference, by_bare = map(float, speeds.groups())
    assert min(ours, reference, bare) > 0
    # One turn: the ratios are those of the speeds, up to rounding.
    assert abs(by_reference - ours / reference) < 0.1 * by_reference + 0.02
    assert abs(by_bare - ours / bare) < 0.1 * by_bare + 0.02
