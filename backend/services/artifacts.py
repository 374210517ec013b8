"""Files that runs produce: stored whole or not at all, and only for the attempt that holds the lease."""

from pathlib import Path

from sqlalchemy import select

from backend.contracts.runs import ArtifactRead
from backend.db.engine import upsert
from backend.db.models import Artifact
from backend.services import attempts, runs
from backend.services.errors import NotFoundError
from backend.services.incoming import IncomingFile
from backend.services.lab import Lab


def open_artifact(lab: Lab, run_id: str, attempt: int) -> IncomingFile:
    """Begin to receive a file of a run. Raises LeaseLostError for a stale attempt, before anything is sent."""
    with lab.database.write() as session:
        attempts.renew_lease(lab, session, run_id, attempt)
    return IncomingFile(_folder(lab, run_id), limit=lab.settings.max_artifact_bytes)


def store_artifact(lab: Lab, run_id: str, attempt: int, name: str, incoming: IncomingFile) -> None:
    """Put a received file in place. Raises LeaseLostError where the lease was lost meanwhile."""
    with lab.database.write() as session:
        attempts.renew_lease(lab, session, run_id, attempt)
        row = {"run_id": run_id, "name": name, "size_bytes": incoming.size_bytes, "sha256": incoming.sha256}
        upsert(session, Artifact, [row])
        incoming.keep_as(_folder(lab, run_id) / name)


def listed(lab: Lab, run_id: str) -> list[ArtifactRead]:
    """The files of a run, by name."""
    with lab.database.read() as session:
        runs.get(session, run_id)
        rows = session.scalars(select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.name))
        return [ArtifactRead(name=row.name, size_bytes=row.size_bytes, sha256=row.sha256) for row in rows]


def path_of(lab: Lab, run_id: str, name: str) -> Path:
    """Where a file of a run lies. Raises NotFoundError."""
    with lab.database.read() as session:
        row = session.get(Artifact, (run_id, name))
    path = _folder(lab, run_id) / name
    if row is None or not path.is_file():
        raise NotFoundError(f"Run '{run_id}' has no artifact '{name}'.")
    return path


def _folder(lab: Lab, run_id: str) -> Path:
    return lab.settings.artifacts_dir / run_id
