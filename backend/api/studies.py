"""Routes for studies and for the presets to start from."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.studies import Preset, StudyCreate, StudyRead, StudyResults
from backend.services import presets, studies

router = APIRouter(tags=["studies"], route_class=StrictJsonRoute)

StudyId = Annotated[str, Path(description="The study's id.", examples=["01jd3zv9xkq7m"])]


@router.post("/studies", status_code=status.HTTP_201_CREATED, responses=problems(422))
def launch_study(request: StudyCreate, lab: LabDep) -> StudyRead:
    """Queue one run for every combination of axis points and every seed: all of them, or none where one is invalid."""
    return studies.launch(lab, request)


@router.get("/studies")
def list_studies(lab: LabDep) -> list[StudyRead]:
    """Studies, newest first."""
    return studies.listed(lab)


@router.get("/studies/{study_id}", responses=problems(404))
def read_study(study_id: StudyId, lab: LabDep) -> StudyRead:
    """One study, with the number of its runs in each state."""
    return studies.read(lab, study_id)


@router.get("/studies/{study_id}/results", responses=problems(404))
def read_results(study_id: StudyId, lab: LabDep) -> StudyResults:
    """A study with all its runs, each with its place in the grid."""
    return studies.results(lab, study_id)


@router.post("/studies/{study_id}/stop", responses=problems(404))
def stop_study(study_id: StudyId, lab: LabDep) -> StudyRead:
    """Stop every run of a study that has not ended."""
    return studies.stop(lab, study_id)


@router.get("/presets")
def list_presets() -> list[Preset]:
    """Ready-made studies and runs."""
    return list(presets.PRESETS)
