"""What a training process was told to do, and how long it may take to obey."""

import threading
import time
from typing import Literal, Protocol

from backend.contracts.events import Phase
from backend.contracts.runs import Wish

Order = Literal["stop", "drain"]
PATIENCE_SECONDS: dict[Phase, float] = {"loading": 0.3, "pretraining": 600.0, "evaluating": 5.0}
"""Loading: nothing is lost. Evaluating: evaluations that have ended are on disk. Pretraining: a step and a checkpoint."""


class Listener(Protocol):
    """Hears orders."""

    def tell(self, order: Order) -> None: ...


class Orders:
    """Passes wishes on to a training process, each once, from any thread. After "stop", "drain" means nothing more."""

    def __init__(self, trainer: Listener) -> None:
        self._trainer = trainer
        self._lock = threading.Lock()
        self._given: Order | None = None
        self._since = 0.0

    @property
    def given(self) -> Order | None:
        """The last order."""
        return self._given

    def give(self, wish: Wish) -> None:
        """Tell the training process what is wanted of it, if it has not heard it yet."""
        with self._lock:
            if wish == "go_on" or self._given in {wish, "stop"}:
                return
            self._given, self._since = wish, time.monotonic()
            self._trainer.tell(wish)

    def are_overdue(self, phase: Phase) -> bool:
        """Whether a training process that is in this phase has taken too long to obey."""
        return self._given is not None and time.monotonic() - self._since > PATIENCE_SECONDS[phase]
