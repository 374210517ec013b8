"""Routes for runs: what people do with them and what they read of them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from backend.api.dependencies import LabDep, Limit, Offset
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.changes import RunChanges
from backend.contracts.comparisons import Comparison
from backend.contracts.runs import (
    CheckpointListed,
    EvaluateRequest,
    LogLine,
    MetricSeries,
    RunCreate,
    RunPage,
    RunPatch,
    RunRead,
    RunState,
    SystemSample,
    Transition,
)
from backend.services import checkpoints, comparisons, evaluations, logs, metrics, resuming, runs, system_load

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictJsonRoute, responses=problems(404))

RunId = Annotated[str, Path(description="The run's id.", examples=["01jd3zv9xkq7m"])]
_NO_CHANGES = RunChanges()


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(422))
def launch_run(request: RunCreate, lab: LabDep) -> RunRead:
    """Queue a run. Every field may be left out: `{}` trains the paper's CIFAR-10 recipe on rendered shapes."""
    return runs.launch(lab, request)


@router.get("")
def list_runs(
    lab: LabDep,
    state: Annotated[RunState | None, Query(description="Only runs in this state.")] = None,
    study_id: Annotated[str | None, Query(description="Only runs of this study.")] = None,
    dataset: Annotated[str | None, Query(description="Only runs on this dataset.")] = None,
    tag: Annotated[str | None, Query(description="Only runs with this tag.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> RunPage:
    """Runs, newest first."""
    which = runs.RunFilter(state=state, study_id=study_id, dataset=dataset, tag=tag)
    return runs.page(lab, which, limit=limit, offset=offset)


@router.get("/{run_id}")
def read_run(run_id: RunId, lab: LabDep) -> RunRead:
    """One run."""
    return runs.read(lab, run_id)


@router.patch("/{run_id}", responses=problems(422))
def patch_run(run_id: RunId, patch: RunPatch, lab: LabDep) -> RunRead:
    """Change a run's name, tags, notes or priority."""
    return runs.patch(lab, run_id, patch)


@router.delete("/{run_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(409))
def delete_run(run_id: RunId, lab: LabDep) -> None:
    """Delete a run that has ended, with its files."""
    runs.remove(lab, run_id)


@router.post("/{run_id}/stop", responses=problems(409))
def stop_run(run_id: RunId, lab: LabDep) -> RunRead:
    """Stop a run: a queued one at once, a running one after a checkpoint."""
    return runs.stop(lab, run_id)


@router.post("/{run_id}/resume", responses=problems(409, 422))
def resume_run(run_id: RunId, lab: LabDep, changes: RunChanges = _NO_CHANGES) -> RunRead:
    """Queue a stopped or failed run again; it goes on from its newest checkpoint. The body may be left out.

    It may change two things: more `epochs`, with which a run that has succeeded goes on too, and the `micro_batch_size`.
    """
    return resuming.resume(lab, run_id, changes)


@router.post("/{run_id}/clone", status_code=status.HTTP_201_CREATED, responses=problems(422))
def clone_run(run_id: RunId, lab: LabDep) -> RunRead:
    """Queue a new run with the same config."""
    return runs.clone(lab, run_id)


@router.post("/{run_id}/evaluate", responses=problems(409, 422))
def evaluate_run(run_id: RunId, request: EvaluateRequest, lab: LabDep) -> RunRead:
    """Measure more on a run that has succeeded: `{"evaluation": {"linear_sgd": {}}}`.

    The fields given replace those of the run's `evaluation`, the others stay. The run is queued again; nothing is trained
    or measured twice, and its summary keeps what it held. 409: the run has not succeeded, or has all of it already.
    """
    return evaluations.evaluate(lab, run_id, request)


@router.get("/{run_id}/metrics")
def read_metrics(
    run_id: RunId,
    lab: LabDep,
    names: Annotated[str, Query(description="Names, separated by commas. Empty: all.", examples=["loss"])] = "",
    since: Annotated[int | None, Query(ge=0, le=2**62, description="Only steps after this one.")] = None,
    max_points: Annotated[int, Query(ge=2, le=100_000, description="Thin each series evenly to so many.")] = 1000,
) -> list[MetricSeries]:
    """The metrics of a run over its steps. The first and the last point of a series are always kept."""
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    return metrics.series(lab, run_id, names=chosen, since=since, max_points=max_points)


@router.get("/{run_id}/compare/{other_id}", responses=problems(409))
def compare_runs(
    run_id: RunId, other_id: Annotated[str, Path(description="The second run's id.")], lab: LabDep
) -> Comparison:
    """Whether two runs differ by more than chance on the same test images: the exact McNemar test.

    409: one has no predictions yet, or the two were tested on different images.
    """
    return comparisons.compare(lab, run_id, other_id)


@router.get("/{run_id}/logs")
def read_logs(
    run_id: RunId,
    lab: LabDep,
    search: Annotated[str, Query(max_length=200, description="Only lines that hold this text, in any case.")] = "",
    level: Annotated[logs.LogLevel, Query(description="Only lines of this level or a worse one.")] = "info",
    after: Annotated[int, Query(ge=0, le=2**62, description="Only lines with a higher id. 0: the last lines.")] = 0,
    limit: Limit = 500,
) -> list[LogLine]:
    """The log of a run, oldest line first: what the lab says of it, and what its training process prints."""
    return logs.lines(lab, run_id, after=after, limit=limit, search=search, level=level)


@router.get("/{run_id}/system")
def read_system(
    run_id: RunId,
    lab: LabDep,
    max_points: Annotated[int, Query(ge=2, le=100_000, description="Thin the samples evenly to so many.")] = 300,
) -> list[SystemSample]:
    """The load of the machine that a run has caused, oldest sample first. The first and the last are always kept."""
    return system_load.samples(lab, run_id, max_points=max_points)


@router.get("/{run_id}/checkpoints")
def list_checkpoints(run_id: RunId, lab: LabDep) -> list[CheckpointListed]:
    """The registered checkpoints of a run, newest first: a run that is resumed goes on from the first that is intact."""
    return checkpoints.listed(lab, run_id)


@router.get("/{run_id}/transitions")
def read_transitions(run_id: RunId, lab: LabDep) -> list[Transition]:
    """The moves of a run from state to state, each with time, actor and reason."""
    return runs.transitions(lab, run_id)
