"""The benchmark runs as a command and has a row for every operation."""

import re
import subprocess
import sys

from worker.pipeline.build import SCIENCE_OPS


def test_the_benchmark_prints_views_per_second_of_every_operation_and_of_both_pipelines():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.augmentation", "--smoke"],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1"},
    )
    found = re.findall(r"^([a-z][a-z0-9 .+]*?)\s{2,}(\d+)\s+(\d+|-)\s+([\d.]+|-)$", done.stdout, re.MULTILINE)
    named = {name.split()[0] if "+" not in name and "motion" not in name else name for name, *_ in found}
    expected = {kind.replace("_", " ") for kind in SCIENCE_OPS}
    assert named == expected | {"crop + flip + color 0.5", "crop + flip + color 1 + blur"}
    for _, own, other, ratio in found:
        assert int(own) > 0
        if other != "-":
            assert abs(float(ratio) - int(own) / int(other)) < 0.06 + 0.02 * float(ratio)
