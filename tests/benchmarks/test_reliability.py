"""The benchmark runs as a command and prints a line for every phase, for a drain and for a fault."""

import re
import subprocess
import sys


def test_the_benchmark_prints_stop_latencies_and_recoveries():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reliability", "--smoke", "--lease", "3"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {name: [float(value) for value in values.split(" | ")] for name, values in _rows(done.stdout)}
    assert [*rows] == [
        "loading",
        "pretraining",
        "evaluating",
        "all",
        "launch to the first step",
        "SIGTERM of the worker to 'queued'",
        "training process killed, to the next new step",
    ]
    assert rows["all"][0] == 3
    assert all(0 < seconds < 180 for _, *times in rows.values() for seconds in times)


def _rows(output: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| ([^|]+) \| ([\d.]+(?: \| [\d.]+){4}) \|$", output, re.MULTILINE)
