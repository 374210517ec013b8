"""Two runs compared by their predictions: McNemar's test against scipy, and what cannot be compared."""

import json
from typing import Any

import pytest
from scipy.stats import binomtest

from backend.client import ApiError, Client
from backend.contracts.runs import AttemptEnd, RunCreate
from backend.services.comparisons import mcnemar_p_value
from tests.backend.marks import on_one_database
from tests.claiming import claim

LABELS = [0, 1, 2, 0, 1, 2]


def run_with(client: Client, **artifact: Any) -> str:
    """A finished run; with keywords, one that kept these predictions."""
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    if artifact:
        content = {"test_set": "a", "classes": ["x", "y", "z"], "labels": LABELS} | artifact
        client.upload_artifact(run_id, 1, "predictions.json", json.dumps(content).encode())
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
    return run_id


@pytest.mark.parametrize(
    ("only_first", "only_second"),
    [
        (0, 0),
        (1, 0),
        (0, 5),
        (5, 5),
        (5, 6),
        (212, 148),
        (17, 40),
        (2500, 2300),
        (5000, 5000),
        (5200, 4800),
        (9000, 1000),
    ],
)
def test_the_p_value_is_scipys_exact_binomial_test(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    expected = binomtest(only_first, n).pvalue if n else 1.0
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@on_one_database
def test_images_are_counted_by_which_run_is_right(client: Client) -> None:
    first = run_with(client, predictions={"knn": [0, 1, 2, 0, 0, 0], "linear": LABELS})
    second = run_with(client, predictions={"knn": [0, 1, 0, 1, 1, 0], "z_knn": LABELS})
    found = client.compare_runs(first, second)
    assert (found.first, found.second, found.test_set) == (first, second, "a")
    (knn,) = found.classifiers
    assert (knn.classifier, knn.images) == ("knn", 6)
    assert (knn.both_right, knn.only_first_right, knn.only_second_right, knn.p_value) == (2, 2, 1, 1.0)


@on_one_database
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, "has kept no predictions"),
        ({"test_set": "b", "predictions": {"knn": LABELS}}, "different images"),
        ({"labels": [0] * 6, "predictions": {"knn": LABELS}}, "different images"),
        ({"predictions": {"linear": LABELS}}, "no classifier"),
        ({"predictions": {"knn": [0]}}, "not one for each test image"),
        ({"predictions": 3}, "cannot be read"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_with_the_reason(
    client: Client, other: dict[str, Any], words: str
) -> None:
    first, second = run_with(client, predictions={"knn": LABELS}), run_with(client, **other)
    with pytest.raises(ApiError) as error:
        client.compare_runs(first, second)
    assert error.value.status == 409
    assert words in error.value.problem.detail
