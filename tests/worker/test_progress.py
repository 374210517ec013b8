"""Progress over pretraining and evaluation together, and the time left."""

import pytest

from worker.progress import Progress


def test_evaluation_counts_as_the_steps_that_would_take_as_long():
    progress = Progress(total_steps=90, batch_size=100, evaluation_cost=6000)  # 6000 / (6 * 100) = 10 steps
    assert progress.fraction(0, 0) == 0
    assert progress.fraction(90, 0) == pytest.approx(0.9)
    assert progress.fraction(90, 0.5) == pytest.approx(0.95)
    assert progress.fraction(90, 1) == 1


def test_the_time_left_follows_the_rate_of_the_last_minute():
    progress = Progress(total_steps=1000, batch_size=100, evaluation_cost=0)
    assert progress.eta_seconds(0, 0, now=0) is None
    assert progress.eta_seconds(100, 0, now=10) == pytest.approx(90)
    for second in range(11, 100):  # ten times slower from here on
        last = progress.eta_seconds(100 + second - 10, 0, now=second)
    assert last == pytest.approx(1000 - 189, rel=0.02)


def test_no_time_is_promised_while_nothing_moves():
    progress = Progress(total_steps=10, batch_size=1, evaluation_cost=0)
    progress.eta_seconds(1, 0, now=0)
    assert progress.eta_seconds(1, 0, now=5) is None
