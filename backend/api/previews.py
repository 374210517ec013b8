"""Routes for previews: asked by a person, answered by a worker."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.previews import ViewsPreview, ViewsRequest
from backend.services import previews

router = APIRouter(route_class=StrictJsonRoute)


@router.post("/previews/views", tags=["previews"], responses=problems(422, 503, 504))
def preview_views(request: ViewsRequest, lab: LabDep) -> ViewsPreview:
    """The two views of some images, exactly as step `step` of a run with this config sees them. A worker draws them.

    503: the broker is away or too many previews are asked for. 504: no worker answered in time.
    """
    return previews.views(lab, request)


@router.post(
    "/worker/previews/{preview_id}",
    tags=["worker side"],
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(422, 503),
)
def post_preview(
    preview_id: Annotated[str, Path(pattern=r"^[0-9a-z]{1,40}$", description="The id of the PreviewJob.")],
    preview: ViewsPreview,
    lab: LabDep,
) -> None:
    """Answer a preview."""
    previews.answer(lab, preview_id, preview)
