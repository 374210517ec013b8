"""Playing a worker that takes a certain run: tests that are not about the choice name the run that they are about."""

from typing import Any

from backend.client import Client
from backend.contracts.runs import Claim, ClaimRequest
from tests.examples import a_beat


def claim(client: Client, run_id: str, worker_id: str = "worker-1", **offer: Any) -> Claim:
    """Beat as a worker that has room, bring the run to the front of the queue, and claim it."""
    client.beat(a_beat(worker_id, slots_per_gpu=64, **offer))
    first = client.queue()[0].id
    if first != run_id:
        client.move_run(run_id, before=first)
    claimed = client.claim_next(ClaimRequest(worker_id=worker_id))
    assert claimed is not None, f"there is nothing for {worker_id}"
    assert claimed.run_id == run_id
    return claimed
