"""The learning rate by step: linear warm-up, then cosine decay to 0 (section 2.2), a pure function of the step."""

import math


def learning_rate(step: int, *, total_steps: int, warmup_steps: int, peak: float) -> float:
    """The rate of the update that follows ``step`` done steps (0 <= step <= total_steps).

    Warm-up rises by peak / warmup_steps a step and reaches ``peak`` at its last step; then half a cosine falls
    from ``peak`` to exactly 0 at ``total_steps``. Raises ValueError for a step outside of the run.
    """
    if not 0 <= step <= total_steps:
        raise ValueError(f"step {step} is not within 0..{total_steps}")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if total_steps == warmup_steps:
        return 0.0  # only asked for after the last step
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
