"""Hints: messages in the broker that wake workers, who then ask for the next run.

They are sent by what is there, not by what happened: while a run waits that a worker could take now, as many hints wait
as workers have free slots. So a hint that was lost, doubled or taken by the wrong worker is made good at the next look,
and a run that was queued before its worker came needs nothing of its own.
"""

from backend.contracts.tasks import RUNS_QUEUE
from backend.services.lab import Lab
from backend.services.offers import living_offers
from backend.services.scheduling import choose, waiting_runs


def send_hints(lab: Lab) -> int:
    """Bring the hints up to the free slots where a run could be taken now. Returns how many were sent.

    All free slots count, those of a draining worker too: whoever is idle may take a hint before the one that is meant.
    Raises BrokerUnreachableError.
    """
    with lab.database.read() as session:
        offers = living_offers(session, min_free_bytes=lab.settings.min_free_bytes)
        slots = sum(offer.free_slots for offer in offers)
        queue = waiting_runs(session) if slots else []
    chosen = next(filter(None, (choose(offer, queue) for offer in offers)), None)
    if chosen is None:
        return 0
    missing = max(0, slots - lab.broker.count_waiting(RUNS_QUEUE))
    for _ in range(missing):
        lab.broker.send_hint(chosen[0].id)
    return missing
