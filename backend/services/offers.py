"""What workers have to offer: how many runs each takes at once, on which GPUs, and what is left of that."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import Run, Worker
from backend.db.types import utc_now

ALIVE_SECONDS = 15
"""A worker that was not heard of for so long is taken for dead; it beats every few seconds."""


@dataclass(frozen=True)
class Offer:
    """A worker that is alive, and what it is at."""

    slots: int
    """Runs at once on each GPU; without a GPU, on the processor."""
    load: Mapping[int, int]
    """How many runs there are on each GPU, by its index."""
    runs: int
    """How many runs there are in all."""
    is_draining: bool = False
    has_space: bool = True
    """Whether enough of its disk is free for a run to write."""

    @property
    def takes_runs(self) -> bool:
        """Whether it is to be given runs at all."""
        return self.has_space and not self.is_draining

    @property
    def free_slots(self) -> int:
        """Runs of one GPU, or on the processor, that there is room for now."""
        return sum(max(0, self.slots - runs) for runs in (self.load.values() if self.load else (self.runs,)))

    def can_ever_serve(self, gpus: int) -> bool:
        """Whether it has so many GPUs, taken or not."""
        return gpus <= len(self.load)

    def allot(self, gpus: int) -> list[int] | None:
        """The GPUs that a run asking for so many gets now, the least loaded ones; [] for the processor; None: not now.

        A run that asks for none gets one where there are any.
        """
        if not self.load:
            return [] if gpus == 0 and self.free_slots else None
        free = [gpu for gpu in self.load if self.load[gpu] < self.slots]
        chosen = sorted(free, key=lambda gpu: (self.load[gpu], gpu))[: max(1, gpus)]
        return sorted(chosen) if len(chosen) == max(1, gpus) else None


def offer_of(session: Session, worker: Worker, *, min_free_bytes: int) -> Offer:
    """What a worker offers, by its last beat and by the runs that it has claimed and not ended."""
    at_work = select(Run.gpus).where(Run.worker_id == worker.id, Run.state.in_(("running", "stopping")))
    gpus_of_runs = session.scalars(at_work).all()
    taken = Counter(gpu for gpus in gpus_of_runs for gpu in gpus or ())
    return Offer(
        slots=worker.slots_per_gpu,
        load={gpu["index"]: taken[gpu["index"]] for gpu in worker.gpus},
        runs=len(gpus_of_runs),
        is_draining=worker.draining,
        has_space=worker.disk_free_bytes >= min_free_bytes,
    )


def living_offers(session: Session, *, min_free_bytes: int) -> list[Offer]:
    """What each worker that is alive offers."""
    living = session.scalars(select(Worker).where(Worker.last_seen > utc_now() - timedelta(seconds=ALIVE_SECONDS)))
    return [offer_of(session, worker, min_free_bytes=min_free_bytes) for worker in living.all()]
