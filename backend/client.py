"""The typed HTTP client that worker, pages, command line and notebooks use.

>>> with Client.connect() as client:
...     run = client.launch_run(RunCreate())
...     print(client.run(run.id).state)
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backend.contracts.changes import RunChanges
from backend.contracts.comparisons import Comparison
from backend.contracts.datasets import Channels, DatasetCreate, DatasetRead
from backend.contracts.estimates import Estimate, EstimateRequest
from backend.contracts.live import LiveEvent
from backend.contracts.previews import ViewsPreview, ViewsRequest
from backend.contracts.runs import (
    ArtifactRead,
    CheckpointListed,
    EvaluateRequest,
    LogLine,
    MetricSeries,
    QueueMove,
    QueuePlace,
    RunCreate,
    RunPage,
    RunPatch,
    RunRead,
    SystemSample,
    Transition,
)
from backend.contracts.studies import Preset, StudyCreate, StudyRead, StudyResults
from backend.contracts.tokens import TokenCreate, TokenCreated, TokenRead
from backend.contracts.workers import WorkerRead
from backend.transport import ApiError, BackendUnreachableError, Connection
from backend.worker_client import WorkerClient

__all__ = ["ApiError", "BackendUnreachableError", "Client", "Connection"]
_UPLOAD_CHUNK = 1 << 20


class Client(WorkerClient):
    """What people and programs ask of the backend, and the worker's side. Every method raises ApiError or
    BackendUnreachableError.
    """

    # Runs

    def launch_run(self, request: RunCreate) -> RunRead:
        """Queue a run."""
        return self._model(RunRead, "POST", "/runs", json=request.model_dump(mode="json", exclude_unset=True))

    def runs(self, *, study_id: str | None = None, limit: int = 100, offset: int = 0) -> RunPage:
        """Runs, newest first."""
        params: dict[str, Any] = {"limit": limit, "offset": offset}
        if study_id:
            params["study_id"] = study_id
        return self._model(RunPage, "GET", "/runs", params=params)

    def run(self, run_id: str) -> RunRead:
        """One run."""
        return self._model(RunRead, "GET", f"/runs/{run_id}")

    def patch_run(self, run_id: str, patch: RunPatch) -> RunRead:
        """Change a run's name, tags, notes or priority."""
        return self._model(RunRead, "PATCH", f"/runs/{run_id}", json=patch.model_dump(mode="json", exclude_unset=True))

    def delete_run(self, run_id: str) -> None:
        """Delete a run that has ended, with its files."""
        self._send("DELETE", f"/runs/{run_id}")

    def stop_run(self, run_id: str) -> RunRead:
        """Ask a run to stop; it keeps a checkpoint."""
        return self._model(RunRead, "POST", f"/runs/{run_id}/stop")

    def resume_run(self, run_id: str, changes: RunChanges | None = None) -> RunRead:
        """Queue a run that has ended again; it goes on from its newest checkpoint, perhaps with changes."""
        body = changes.model_dump(mode="json", exclude_unset=True) if changes else None
        return self._model(RunRead, "POST", f"/runs/{run_id}/resume", json=body)

    def queue(self) -> list[RunRead]:
        """The queued runs, the next one first."""
        return self._list(RunRead, "/queue")

    def queue_place(self, run_id: str) -> QueuePlace:
        """Where a queued run stands and what it waits for. ApiError 409: it is not queued."""
        return self._model(QueuePlace, "GET", f"/runs/{run_id}/queue")

    def move_run(self, run_id: str, *, before: str | None = None) -> RunRead:
        """Move a queued run before another one, or to the end."""
        move = QueueMove(before=before)
        return self._model(RunRead, "POST", f"/runs/{run_id}/move", json=move.model_dump(mode="json"))

    def clone_run(self, run_id: str) -> RunRead:
        """Queue a new run with the same config."""
        return self._model(RunRead, "POST", f"/runs/{run_id}/clone")

    def evaluate_run(self, run_id: str, request: EvaluateRequest) -> RunRead:
        """Measure more on a run that has succeeded: the fields given replace those of its ``evaluation``."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return self._model(RunRead, "POST", f"/runs/{run_id}/evaluate", json=body)

    def metrics(
        self, run_id: str, *, names: Sequence[str] = (), since: int | None = None, max_points: int = 1000
    ) -> list[MetricSeries]:
        """Metrics of a run; only steps after ``since``; thinned to at most ``max_points`` each."""
        params: dict[str, Any] = {"max_points": max_points}
        if names:
            params["names"] = ",".join(names)
        if since is not None:
            params["since"] = since
        return self._list(MetricSeries, f"/runs/{run_id}/metrics", params)

    def compare_runs(self, first: str, second: str) -> Comparison:
        """The exact McNemar test on what two runs predicted. ApiError 409: they cannot be compared."""
        return self._model(Comparison, "GET", f"/runs/{first}/compare/{second}")

    def logs(
        self, run_id: str, *, after: int = 0, limit: int = 500, search: str = "", level: str = ""
    ) -> list[LogLine]:
        """Log lines with an id above ``after``, oldest first; with ``after=0``, the last ``limit`` lines.

        ``search``: only lines that hold this text, in any case. ``level``: only lines of this level or a worse one.
        """
        params = {"after": after, "limit": limit, "search": search, "level": level}
        return self._list(
            LogLine, f"/runs/{run_id}/logs", {name: value for name, value in params.items() if value != ""}
        )

    def system(self, run_id: str, *, max_points: int = 300) -> list[SystemSample]:
        """The load that a run has caused, oldest first, thinned to at most ``max_points``."""
        return self._list(SystemSample, f"/runs/{run_id}/system", {"max_points": max_points})

    def events(self, run_id: str, *, after: int = 0) -> Iterator[LiveEvent]:
        """What happens to a run, from its beginning or after an event, until it has ended (``ended`` or ``deleted``).

        A connection that breaks is made again, and nothing is missed or comes twice. Raises BackendUnreachableError only
        where the first one fails.
        """
        return self._follow(f"/runs/{run_id}/events", after)

    def overview_events(self, *, after: int | None = None) -> Iterator[LiveEvent]:
        """States, phases and progress of all runs, from now on or after an event, without end; otherwise as ``events``."""
        return self._follow("/events", after)

    def checkpoints(self, run_id: str) -> list[CheckpointListed]:
        """The registered checkpoints of a run, newest first."""
        return self._list(CheckpointListed, f"/runs/{run_id}/checkpoints")

    def transitions(self, run_id: str) -> list[Transition]:
        """The moves of a run from state to state."""
        return self._list(Transition, f"/runs/{run_id}/transitions")

    def artifacts(self, run_id: str) -> list[ArtifactRead]:
        """The files a run produced."""
        return self._list(ArtifactRead, f"/runs/{run_id}/artifacts")

    def artifact(self, run_id: str, name: str) -> bytes:
        """The content of one file."""
        return self._send("GET", f"/runs/{run_id}/artifacts/{name}").content

    # Studies, presets

    def launch_study(self, request: StudyCreate) -> StudyRead:
        """Queue all runs of a study."""
        return self._model(StudyRead, "POST", "/studies", json=request.model_dump(mode="json"))

    def studies(self) -> list[StudyRead]:
        """Studies, newest first."""
        return self._list(StudyRead, "/studies")

    def study_results(self, study_id: str) -> StudyResults:
        """A study with all its runs."""
        return self._model(StudyResults, "GET", f"/studies/{study_id}/results")

    def stop_study(self, study_id: str) -> StudyRead:
        """Stop every run of a study that has not ended."""
        return self._model(StudyRead, "POST", f"/studies/{study_id}/stop")

    def presets(self) -> list[Preset]:
        """Ready-made studies and runs."""
        return self._list(Preset, "/presets")

    # Datasets, previews, workers

    def datasets(self) -> list[DatasetRead]:
        """Datasets, the built-in ones first."""
        return self._list(DatasetRead, "/datasets")

    def dataset(self, name: str) -> DatasetRead:
        """One dataset."""
        return self._model(DatasetRead, "GET", f"/datasets/{name}")

    def import_dataset(self, request: DatasetCreate) -> DatasetRead:
        """Import a folder or zip on the server's disk, or a known dataset through torchvision."""
        return self._model(DatasetRead, "POST", "/datasets", json=request.model_dump(mode="json"))

    def upload_dataset(
        self,
        name: str,
        chunks: Iterator[bytes],
        *,
        image_size: int = 32,
        test_share: float = 0.2,
        channels: Channels = "auto",
    ) -> DatasetRead:
        """Import a zip, streamed."""
        return self._model(
            DatasetRead,
            "POST",
            "/datasets",
            params={"name": name, "image_size": image_size, "test_share": test_share, "channels": channels},
            content=chunks,
            headers={"Content-Type": "application/zip"},
            timeout=None,
        )

    def upload_dataset_file(self, name: str, path: Path, *, image_size: int = 32) -> DatasetRead:
        """Import a zip from this machine's disk."""
        with path.open("rb") as file:
            return self.upload_dataset(name, iter(lambda: file.read(_UPLOAD_CHUNK), b""), image_size=image_size)

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset that no unfinished run uses."""
        self._send("DELETE", f"/datasets/{name}")

    def preview_views(self, request: ViewsRequest) -> ViewsPreview:
        """The two views of some images."""
        return self._model(ViewsPreview, "POST", "/previews/views", json=request.model_dump(mode="json"))

    def estimate(self, request: EstimateRequest) -> Estimate:
        """What follows from a config before anything runs."""
        return self._model(Estimate, "POST", "/estimates", json=request.model_dump(mode="json"))

    def workers(self) -> list[WorkerRead]:
        """Workers heard of in the last day."""
        return self._list(WorkerRead, "/workers")

    def drain_worker(self, worker_id: str) -> None:
        """Its runs make a checkpoint and go on elsewhere; it takes none until ``undrain_worker``."""
        self._send("POST", f"/workers/{worker_id}/drain")

    def undrain_worker(self, worker_id: str) -> None:
        """The worker takes runs again."""
        self._send("POST", f"/workers/{worker_id}/undrain")

    # Tokens

    def tokens(self) -> list[TokenRead]:
        """Tokens, oldest first, without their secrets."""
        return self._list(TokenRead, "/tokens")

    def create_token(self, request: TokenCreate) -> TokenCreated:
        """Make a token; its secret is in the answer and nowhere else."""
        return self._model(TokenCreated, "POST", "/tokens", json=request.model_dump(mode="json"))

    def revoke_token(self, token_id: str) -> None:
        """Nobody gets in with it any more."""
        self._send("DELETE", f"/tokens/{token_id}")
