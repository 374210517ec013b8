"""Routes for workers as people see them."""

from fastapi import APIRouter

from backend.api.dependencies import LabDep
from backend.contracts.workers import WorkerRead
from backend.services import workers

router = APIRouter(prefix="/workers", tags=["workers"])


@router.get("")
def list_workers(lab: LabDep) -> list[WorkerRead]:
    """Workers heard of in the last day."""
    return workers.listed(lab)
