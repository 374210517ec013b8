"""Previews: a worker draws the views while the request waits for its answer."""

import threading

from backend.contracts.previews import PreviewJob, ViewsPreview, ViewsRequest
from backend.queue import BrokerUnreachableError
from backend.services import datasets
from backend.services.errors import NoAnswerError, UnavailableError
from backend.services.lab import Lab, new_id

_MOST_AT_ONCE = 16  # each one that waits holds a thread
_waiting = threading.BoundedSemaphore(_MOST_AT_ONCE)


def views(lab: Lab, request: ViewsRequest) -> ViewsPreview:
    """The views of some images, drawn by a worker.

    Raises InvalidError where the dataset cannot serve the config, NoAnswerError where no worker answers in time,
    UnavailableError where the broker is away or too many previews wait already.
    """
    with lab.database.read() as session:
        pack = datasets.check_usable(session, request.config)
    job = PreviewJob(id=new_id(), request=request, pack_sha256=pack)
    if not _waiting.acquire(blocking=False):
        raise UnavailableError(f"{_MOST_AT_ONCE} previews are being drawn already: try again in a moment.")
    try:
        lab.broker.send_preview(job, expires=lab.settings.preview_seconds)
        answer = lab.broker.wait_for_answer(job.id, lab.settings.preview_seconds)
    except BrokerUnreachableError as error:
        raise UnavailableError("The broker does not answer: is it running?") from error
    finally:
        _waiting.release()
    if answer is None:
        raise NoAnswerError(
            f"No worker answered within {lab.settings.preview_seconds:g} s: is one running, or is it busy importing?"
        )
    return ViewsPreview.model_validate_json(answer)


def answer(lab: Lab, preview_id: str, preview: ViewsPreview) -> None:
    """A worker has drawn the views. Raises UnavailableError where the broker is away."""
    try:
        lab.broker.put_answer(preview_id, preview.model_dump_json())
    except BrokerUnreachableError as error:
        raise UnavailableError("The broker does not answer.") from error
