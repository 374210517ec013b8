"""The benchmark runs as a command and prints a line for every batch and every number of images."""

import os
import re
import subprocess
import sys


def test_the_benchmark_prints_speed_and_memory_of_batches_and_of_numbers_of_images():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "--smoke"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    batch, images = re.findall(
        r"^ +([\d,]+) +([\d.,]+) +([\d.,]+)%? +([\d,]+)(?: +[\d,]+)?$", done.stdout, re.MULTILINE
    )
    assert (batch[0], images[0]) == ("16", "1,000")
    assert float(batch[1].replace(",", "")) > 0
    assert 0 < float(batch[2]) < 100
