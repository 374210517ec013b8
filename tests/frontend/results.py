"""Studies with results, made up for the tests of charts and story."""

from datetime import UTC, datetime

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import RunRead, RunState
from backend.contracts.studies import Axis, AxisPoint, StudyRead, StudyResult, StudyResults
from tests.examples import a_run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPS = {
    "crop": [{"name": "crop"}],
    "color": [{"name": "color"}],
    "crop + color": [{"name": "crop"}, {"name": "color"}],
}


def run(run_id: str = "r1", *, state: RunState = "succeeded", summary: dict | None = None, **config: object) -> RunRead:
    """A run with these results."""
    return a_run(
        run_id, state=state, config=ExperimentConfig.model_validate(config), summary=summary or {}, tags=["mine"]
    )


def study(
    accuracies: dict[tuple[str, int, int], float | None],
    *,
    untrained: float | None = 0.28,
    state: RunState = "succeeded",
) -> StudyResults:
    """A study over (augmentation, batch size, seed); None: that run has no result."""
    augmentations = list(dict.fromkeys(key[0] for key in accuracies))
    sizes = list(dict.fromkeys(key[1] for key in accuracies))
    axes = [
        Axis(
            name="augmentation",
            points=[AxisPoint(label=name, set={"augmentation.ops": OPS[name]}) for name in augmentations],
        ),
        Axis(
            name="batch size", points=[AxisPoint(label=str(size), set={"training.batch_size": size}) for size in sizes]
        ),
    ]
    results = []
    for place, ((augmentation, size, seed), accuracy) in enumerate(accuracies.items()):
        summary = {} if accuracy is None else {"linear_top1": accuracy, "untrained_linear_top1": untrained}
        of_cell = run(
            f"r{place}",
            state=state,
            summary=summary,
            training={"batch_size": size, "seed": seed},
            augmentation={"ops": OPS[augmentation]},
        )
        results.append(
            StudyResult(cell={"augmentation": augmentation, "batch size": str(size)}, seed=seed, run=of_cell)
        )
    read = StudyRead(
        id="s1",
        name="a study",
        notes="",
        base=ExperimentConfig(),
        axes=axes,
        seeds=sorted({key[2] for key in accuracies}),
        states={state: len(results)},
        created_at=NOW,
    )
    return StudyResults(study=read, results=results)
