"""Routes for estimates."""

from fastapi import APIRouter

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.estimates import Estimate, EstimateRequest
from backend.services import estimates

router = APIRouter(route_class=StrictJsonRoute)


@router.post("/estimates", tags=["previews"], responses=problems(422))
def estimate(request: EstimateRequest, lab: LabDep) -> Estimate:
    """What follows from a config before anything runs: steps, sizes, memory and time, and what is probably not meant.

    The time is from the measured speed of earlier runs of the same net at the same image size on a device that a worker
    has, or unknown.
    """
    return estimates.estimate(lab, request.config)
