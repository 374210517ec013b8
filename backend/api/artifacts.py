"""Routes for the files that runs produce."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, status
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.receiving import check_announced_size, receive
from backend.api.runs import RunId
from backend.contracts.runs import ArtifactRead
from backend.services import artifacts

router = APIRouter()

ArtifactName = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="File name.", examples=["encoder.safetensors"])
]
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get("/runs/{run_id}/artifacts", tags=["runs"], responses=problems(404))
def list_artifacts(run_id: RunId, lab: LabDep) -> list[ArtifactRead]:
    """The files that a run produced."""
    return artifacts.listed(lab, run_id)


@router.get(
    "/runs/{run_id}/artifacts/{name}",
    tags=["runs"],
    response_class=FileResponse,
    responses={200: {"description": "The file's bytes.", "content": _BYTES}, **problems(404)},
)
def read_artifact(run_id: RunId, name: ArtifactName, lab: LabDep) -> FileResponse:
    """One file."""
    path = artifacts.path_of(lab, run_id, name)
    return FileResponse(path, media_type="application/octet-stream", filename=name)


@router.put(
    "/worker/runs/{run_id}/artifacts/{name}",
    tags=["worker side"],
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 413, 507),
    openapi_extra={"requestBody": {"required": True, "content": _BYTES}},
)
async def store_artifact(
    run_id: RunId,
    name: ArtifactName,
    attempt: Annotated[int, Query(ge=1, le=2**31, description="The attempt that made it.")],
    request: Request,
    lab: LabDep,
) -> None:
    """Store a file of a run, in place of one with this name. 409: the lease is lost."""
    check_announced_size(request, lab.settings.max_artifact_bytes)
    with await run_in_threadpool(artifacts.open_artifact, lab, run_id, attempt) as incoming:
        await receive(request, incoming, pause_seconds=lab.settings.body_seconds)
        await run_in_threadpool(artifacts.store_artifact, lab, run_id, attempt, name, incoming)
