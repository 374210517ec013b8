"""Where to compute, in which format, with how many threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from worker.simclr import cores
from worker.simclr.cores import available_cores
from worker.simclr.precision import autocast, choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32"), ({}, "fp32")],
)
def test_auto_is_bf16_only_where_the_processor_is_fast_at_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", CPU) == expected
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_fp32_switches_autocast_off():
    with autocast("fp32", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with autocast("bf16", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)]
)
def test_a_container_quota_limits_the_cores(monkeypatch, tmp_path, quota, expected):
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "Path", lambda _: file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores() == expected


@pytest.mark.parametrize(("asked", "expected"), [("1", "1"), (None, str(available_cores()))])
def test_torch_uses_the_available_cores_unless_told_otherwise(asked, expected):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", "from worker.simclr.precision import set_threads; print(set_threads())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env=environment | ({"OMP_NUM_THREADS": asked} if asked else {}),
    )
    assert done.stdout.strip() == expected
