"""Comparing two runs by their kept predictions: the exact McNemar test (for top-1 the paper's permutation test)."""

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from backend.contracts.comparisons import ClassifierComparison, Comparison
from backend.services import artifacts, runs
from backend.services.errors import ConflictError, NotFoundError
from backend.services.lab import Lab

PREDICTIONS = "predictions.json"


class _Predictions(BaseModel):
    """The artifact ``predictions.json``: for each classifier a class for every test image, in the order of the test set."""

    test_set: Annotated[str, Field(min_length=1)]
    labels: list[int]
    predictions: dict[str, list[int]]


def compare(lab: Lab, first_id: str, second_id: str) -> Comparison:
    """Both runs on every test image.

    Raises ConflictError where one has no predictions, or theirs are of different test sets or classifiers.
    """
    first, second = _predictions(lab, first_id), _predictions(lab, second_id)
    if first.test_set != second.test_set or first.labels != second.labels:
        raise ConflictError("The two runs were tested on different images: they cannot be compared image by image.")
    shared = [name for name in first.predictions if name in second.predictions]
    if not shared:
        raise ConflictError("The two runs share no classifier whose predictions were kept.")
    found = [_compared(name, first.labels, first.predictions[name], second.predictions[name]) for name in shared]
    return Comparison(first=first_id, second=second_id, test_set=first.test_set, classifiers=found)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Exact two-sided p value: the images that one run alone gets right fall to either like a fair coin.

    Twice the lower tail of Binomial(n, 1/2), at most 1, summed in whole numbers, so nothing is rounded before the end.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    if 2 * fewer == n:
        return 1.0
    term = total = 1
    for successes in range(1, fewer + 1):
        term = term * (n - successes + 1) // successes
        total += term
    return min(1.0, 2 * total / 2**n)


def _compared(name: str, labels: list[int], first: list[int], second: list[int]) -> ClassifierComparison:
    right = [(a == label, b == label) for a, b, label in zip(first, second, labels, strict=True)]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    return ClassifierComparison(
        classifier=name,
        images=len(right),
        both_right=right.count((True, True)),
        only_first_right=only_first,
        only_second_right=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
    )


def _predictions(lab: Lab, run_id: str) -> _Predictions:
    run = runs.read(lab, run_id)
    try:
        content = artifacts.path_of(lab, run_id, PREDICTIONS).read_bytes()
    except NotFoundError as error:
        raise ConflictError(
            f"Run '{run.name}' has kept no predictions: they are there once it has succeeded; evaluate it again for them."
        ) from error
    try:
        found = _Predictions.model_validate_json(content)
    except ValidationError as error:
        raise ConflictError(f"The predictions of run '{run.name}' cannot be read: evaluate it again.") from error
    if any(len(predicted) != len(found.labels) for predicted in found.predictions.values()):
        raise ConflictError(f"The predictions of run '{run.name}' are not one for each test image: evaluate it again.")
    return found
