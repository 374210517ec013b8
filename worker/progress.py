"""How far a run is and how long it will still take, over pretraining and evaluation together."""

from collections import deque

WINDOW_SECONDS = 60.0
"""The rate is that of the last minute: it follows a machine that becomes busy, and smooths over measurements."""


class Progress:
    """Work is counted in training steps; evaluation counts as the steps that would take as long.

    A step passes 2N views forward and backward (three times the cost of forward). ``evaluation_cost`` is in forward
    passes of one image, over all evaluations together.
    """

    def __init__(self, *, total_steps: int, batch_size: int, evaluation_cost: float) -> None:
        self.total_steps = total_steps
        self._evaluation_steps = evaluation_cost / (6 * batch_size)
        self._seen: deque[tuple[float, float]] = deque()

    def fraction(self, step: int, evaluated: float) -> float:
        """Share done, from 0 to 1, after ``step`` steps and this share of the evaluation."""
        done = step + evaluated * self._evaluation_steps
        return min(1.0, done / (self.total_steps + self._evaluation_steps))

    def eta_seconds(self, step: int, evaluated: float, now: float) -> float | None:
        """Seconds left at the rate of the last minute; None as long as there is no rate."""
        fraction = self.fraction(step, evaluated)
        while len(self._seen) > 1 and self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        self._seen.append((now, fraction))
        since, start = self._seen[0]
        if fraction <= start or now <= since:
            return None
        return (1 - fraction) * (now - since) / (fraction - start)
