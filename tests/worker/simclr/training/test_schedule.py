"""The learning rate at every step, against the paper's formulas."""

import math

import pytest

from backend.contracts.config import ExperimentConfig
from worker.simclr.training.schedule import learning_rate


def trace(total_steps, warmup_steps, peak):
    return [
        learning_rate(step, total_steps=total_steps, warmup_steps=warmup_steps, peak=peak)
        for step in range(total_steps + 1)
    ]


@pytest.mark.parametrize(("total_steps", "warmup_steps"), [(100, 10), (7, 3), (50, 0), (5, 5), (1, 1), (1, 0)])
def test_the_rate_at_every_step_is_warm_up_by_step_and_then_half_a_cosine_to_zero(total_steps, warmup_steps):
    rates = trace(total_steps, warmup_steps, peak=0.6)
    for step in range(warmup_steps):
        assert rates[step] == pytest.approx(0.6 * (step + 1) / warmup_steps)
    for step in range(warmup_steps, total_steps):
        share = (step - warmup_steps) / (total_steps - warmup_steps)
        assert rates[step] == pytest.approx(0.6 * math.cos(share * math.pi / 2) ** 2)
    assert rates[total_steps] == pytest.approx(0, abs=1e-15)
    assert max(rates) == pytest.approx(0.6)


def test_a_step_outside_of_the_run_is_refused():
    for step in (-1, 11):
        with pytest.raises(ValueError, match="not within"):
            learning_rate(step, total_steps=10, warmup_steps=1, peak=1.0)


@pytest.mark.parametrize("batch_size", [16, 256, 512, 1024, 4096, 8192])
def test_the_peak_is_0_3_b_over_256_or_0_075_root_b_and_both_agree_at_4096(batch_size):
    def peak(scaling):
        return ExperimentConfig.model_validate(
            {"training": {"batch_size": batch_size}, "optimizer": {"learning_rate": 0.3, "lr_scaling": scaling}}
        ).peak_learning_rate

    assert peak("linear") == pytest.approx(0.3 * batch_size / 256)
    assert peak("sqrt") == pytest.approx(0.075 * math.sqrt(batch_size))
    assert peak("none") == 0.3
    assert (peak("linear") == pytest.approx(peak("sqrt"))) == (batch_size == 4096)
