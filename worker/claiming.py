"""Taking runs: a message only says that there is work; which run it is, and on which GPUs, the backend decides."""

import logging
from collections.abc import Callable

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.runs import Claim, ClaimRequest
from worker.supervisor import Workplace, supervise

LOG = logging.getLogger(__name__)
_UNKNOWN_WORKER = 409


def work_through_queue(place: Workplace, beat: Callable[[], None]) -> None:
    """Supervise run after run, until there is none for this worker or it shuts down."""
    while not place.is_draining() and (claim := claim_next(place, beat)) is not None:
        supervise(claim, place)


def claim_next(place: Workplace, beat: Callable[[], None]) -> Claim | None:
    """The lease on the next run; None where there is none, or the backend is away (it sends a message again).

    ``beat`` tells the backend what this worker has to offer, which it wants to know first.
    """
    request = ClaimRequest(worker_id=place.worker_id)
    try:
        try:
            return place.api.claim_next(request)
        except ApiError as error:
            if error.status != _UNKNOWN_WORKER:
                raise
            beat()
            return place.api.claim_next(request)
    except ApiError as error:
        LOG.error("no run can be claimed: %s", error)  # noqa: TRY400 (the answer says it all)
    except BackendUnreachableError as error:
        LOG.warning("no run can be claimed now: %s", error)
    return None
