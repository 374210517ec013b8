"""The benchmark of packs runs as a command and prints speeds of import and of rows."""

import re
import subprocess
import sys


def test_the_benchmark_prints_speeds_of_import_beside_torchvision_and_of_rows():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.packs", "--smoke"],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1"},
    )
    imports = re.search(r"^smoke" + r"\s+([\d.]+)" * 6 + "$", done.stdout, re.MULTILINE)
    ours, megabytes, one_thread, loader, by_one_thread, by_loader = map(float, imports.groups())
    assert min(ours, megabytes, one_thread, loader) > 0
    # One turn: the ratios are those of the speeds, up to rounding.
    assert abs(by_one_thread - ours / one_thread) < 0.05 * by_one_thread + 0.02
    assert abs(by_loader - ours / loader) < 0.05 * by_loader + 0.02
    rows = re.search(r"^300 x 16" + r"\s+([\d.]+)" * 4 + "$", done.stdout, re.MULTILINE)
    assert all(float(value) > 0 for value in rows.groups()[:3])
