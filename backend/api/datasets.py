"""Routes for datasets and for what workers report about their import."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, status
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute, read_json
from backend.api.receiving import check_announced_size, receive
from backend.contracts.datasets import (
    CHANNELS_DESCRIPTION,
    DEFAULT_IMAGE_SIZE,
    Channels,
    DatasetCreate,
    DatasetRead,
    ImportReport,
)
from backend.contracts.section import DatasetName
from backend.services import datasets, imports
from backend.services.incoming import IncomingFile
from backend.services.lab import Lab

router = APIRouter()
_reports = APIRouter(route_class=StrictJsonRoute)

Name = Annotated[str, Path(description="The dataset's name.", examples=["cifar10-mini"])]
_FOLDER = {"name": "birds", "source": "folder", "path": "/data/birds", "image_size": 32}
_STL10 = {"name": "stl10", "source": "torchvision"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/zip": {
                "schema": {"type": "string", "format": "binary", "description": "The zip itself, one folder a class."}
            },
            "application/json": {
                "schema": DatasetCreate.model_json_schema(),
                "examples": {"a folder on the server": {"value": _FOLDER}, "a known dataset": {"value": _STL10}},
            },
        },
    }
}


@router.post(
    "/datasets",
    tags=["datasets"],
    status_code=status.HTTP_201_CREATED,
    responses=problems(409, 413, 422, 507),
    openapi_extra=_BODY,
)
async def import_dataset(
    request: Request,
    lab: LabDep,
    name: Annotated[DatasetName | None, Query(description="For a zip: what to call it.")] = None,
    image_size: Annotated[
        int, Query(ge=8, le=512, description="For a zip: side of the images, pixels.")
    ] = DEFAULT_IMAGE_SIZE,
    test_share: Annotated[
        float, Query(gt=0, lt=1, description="For a zip without a test/ folder: share split off as test set.")
    ] = 0.2,
    channels: Annotated[Channels, Query(description=f"For a zip: {CHANNELS_DESCRIPTION}")] = "auto",
) -> DatasetRead:
    """Import a dataset: the body is a zip (`application/zip`, several GB are fine), or JSON that names a folder on the
    server or a known dataset.

    The answer comes when the zip has arrived and is one; a worker then imports it. Follow `GET /datasets/{name}`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return await run_in_threadpool(imports.import_from_server, lab, await read_json(request, DatasetCreate))
    if name is None:
        raise RequestValidationError([{"loc": ("query", "name"), "msg": "give the dataset a name", "type": "missing"}])
    return await _receive_zip(request, lab, imports.ImportOptions(name, image_size, test_share, channels))


@router.get("/datasets", tags=["datasets"])
def list_datasets(lab: LabDep) -> list[DatasetRead]:
    """Datasets: the built-in one, then the imported ones, oldest first."""
    return datasets.listed(lab)


@router.get("/datasets/{name}", tags=["datasets"], responses=problems(404))
def read_dataset(name: Name, lab: LabDep) -> DatasetRead:
    """One dataset, with the progress of its import and the files that were broken."""
    return datasets.read(lab, name)


@router.delete(
    "/datasets/{name}", tags=["datasets"], status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 409)
)
def delete_dataset(name: Name, lab: LabDep) -> None:
    """Delete a dataset with its files, and end its import. 409 while an unfinished run uses it."""
    datasets.remove(lab, name)


@_reports.post(
    "/worker/datasets/{name}/report",
    tags=["worker side"],
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 422),
)
def report_import(name: Name, report: ImportReport, lab: LabDep) -> None:
    """Report on an import: its progress, its pack, or why it failed. 404 or 409: nobody wants it any more, stop."""
    imports.report(lab, name, report)


async def _receive_zip(request: Request, lab: Lab, options: imports.ImportOptions) -> DatasetRead:
    check_announced_size(request, lab.settings.max_upload_bytes)
    await run_in_threadpool(imports.check_name_is_free, lab, options.name)
    with IncomingFile(lab.settings.uploads_dir, limit=lab.settings.max_upload_bytes) as incoming:
        await receive(request, incoming, pause_seconds=lab.settings.body_seconds)
        return await run_in_threadpool(imports.import_upload, lab, incoming, options)


router.include_router(_reports)
