"""The worker's side of the client: claim runs, ship what they write, report on imports and previews."""

from typing import Any

from backend.contracts.datasets import ImportReport
from backend.contracts.previews import ViewsPreview
from backend.contracts.runs import AttemptEnd, Claim, ClaimRequest, EventBatch, LeaseAnswer, RunRead, Wish, WishAnswer
from backend.contracts.workers import WorkerBeat
from backend.transport import Transport


class WorkerClient(Transport):
    """What a worker asks of the backend. Every method raises ApiError or BackendUnreachableError."""

    def claim_next(self, request: ClaimRequest) -> Claim | None:
        """Take the lease on the first queued run that this worker can serve now; None: there is none.

        ApiError 409: the backend does not know this worker (any more): beat first.
        """
        response = self._send("POST", "/worker/claim", json=request.model_dump(mode="json"))
        return Claim.model_validate_json(response.content) if response.content else None

    def wait_for_wish(self, run_id: str, attempt: int, known: Wish, *, seconds: float) -> Wish:
        """What is wanted of a run, as soon as it is not ``known``, or after so many seconds. ApiError 409 as for events."""
        params: dict[str, Any] = {"attempt": attempt, "known": known, "seconds": seconds}
        path = f"/worker/runs/{run_id}/wish"
        return self._model(WishAnswer, "GET", path, params=params, timeout=seconds + 10).wish

    def post_events(self, run_id: str, batch: EventBatch) -> LeaseAnswer:
        """Ship events and renew the lease. ApiError 409: the lease is lost, kill the training process."""
        return self._model(LeaseAnswer, "POST", f"/worker/runs/{run_id}/events", json=batch.model_dump(mode="json"))

    def upload_artifact(self, run_id: str, attempt: int, name: str, content: bytes) -> None:
        """Store a file of a run. ApiError 409 as for events."""
        self._send("PUT", f"/worker/runs/{run_id}/artifacts/{name}", params={"attempt": attempt}, content=content)

    def end_attempt(self, run_id: str, end: AttemptEnd) -> RunRead:
        """Report how an attempt ended. ApiError 409 as for events."""
        return self._model(RunRead, "POST", f"/worker/runs/{run_id}/end", json=end.model_dump(mode="json"))

    def beat(self, beat: WorkerBeat) -> None:
        """Say that this worker is alive."""
        self._send("POST", "/worker/beat", json=beat.model_dump(mode="json"))

    def report_import(self, name: str, report: ImportReport) -> None:
        """Report on an import. ApiError 404: the dataset was deleted, stop."""
        self._send("POST", f"/worker/datasets/{name}/report", json=report.model_dump(mode="json"))

    def post_preview(self, preview_id: str, preview: ViewsPreview) -> None:
        """Answer a preview."""
        self._send("POST", f"/worker/previews/{preview_id}", json=preview.model_dump(mode="json"))
