"""Random numbers follow from (seed, step, use) alone."""

import subprocess
import sys

import torch

from worker.simclr.randomness import derive_seed, generator


def test_the_same_use_gives_the_same_numbers_in_another_process():
    code = "from worker.simclr.randomness import derive_seed; print(derive_seed(3, 14, 'crop'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive_seed(3, 14, "crop")


def test_seed_step_and_use_each_change_the_numbers():
    seeds = {derive_seed(seed, step, use) for seed in range(20) for step in range(20) for use in ("crop", "flip")}
    assert len(seeds) == 800


def test_drawing_elsewhere_changes_nothing():
    expected = torch.rand(5, generator=generator(1, 2, "crop"))
    torch.manual_seed(0)
    torch.rand(17)
    assert torch.equal(torch.rand(5, generator=generator(1, 2, "crop")), expected)
