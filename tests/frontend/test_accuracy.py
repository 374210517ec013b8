"""The two figures of a study draw its runs: every run a dot, the mean and the range over seeds."""

from typing import Any

import pytest

from frontend.charts.accuracy import accuracy_points, against_augmentation, against_batch_size, with_means
from tests.frontend.results import study

TWO_SEEDS = {
    ("crop", 64, 0): 0.20,
    ("crop", 64, 1): 0.30,
    ("crop + color", 64, 0): 0.50,
    ("crop + color", 64, 1): None,
}


def rows_drawn(chart: Any, mark: str) -> list[dict[str, Any]]:
    """The data that a chart's marks of one kind show."""
    spec = chart.to_dict()
    return [
        row
        for layer in spec["layer"]
        if layer["mark"]["type"] == mark
        for row in spec["datasets"][layer["data"]["name"]]
    ]


def test_a_row_for_each_run_that_has_a_result():
    points = accuracy_points(study(TWO_SEEDS), "linear_top1")
    assert points[["augmentation", "batch_size", "seed", "accuracy"]].to_numpy().tolist() == [
        ["crop", 64, 0, 0.20],
        ["crop", 64, 1, 0.30],
        ["crop + color", 64, 0, 0.50],
    ]


def test_mean_and_range_are_taken_over_the_seeds_of_a_cell():
    means = with_means(accuracy_points(study(TWO_SEEDS), "linear_top1")).set_index("augmentation")
    assert means.loc["crop", ["n", "mean", "lowest", "highest"]].tolist() == pytest.approx([2, 0.25, 0.20, 0.30])
    assert means.loc["crop + color", ["n", "mean"]].tolist() == pytest.approx([1, 0.50])


@pytest.mark.parametrize("draw", [against_batch_size, against_augmentation])
def test_every_seed_is_a_dot_and_every_cell_a_mean(draw: Any):
    chart = draw(study(TWO_SEEDS))
    assert sorted(row["accuracy"] for row in rows_drawn(chart, "circle")) == [0.20, 0.30, 0.50]
    assert sorted(row["mean"] for row in rows_drawn(chart, "point")) == pytest.approx([0.25, 0.50])


@pytest.mark.parametrize("draw", [against_batch_size, against_augmentation])
def test_a_run_that_failed_or_was_stopped_without_a_result_is_a_cross_on_the_axis(draw: Any):
    results = study(TWO_SEEDS)
    lost = next(one for one in results.results if "linear_top1" not in one.run.summary)
    for state, crosses in (("queued", 0), ("failed", 1), ("stopped", 1)):
        lost.run = lost.run.model_copy(update={"state": state})
        drawn = [row for row in rows_drawn(draw(results), "text") if "state" in row]
        assert len(drawn) == crosses
    assert [drawn[0][name] for name in ("augmentation", "batch_size", "seed", "accuracy", "state")] == [
        "crop + color",
        64,
        1,
        0,
        "stopped",
    ]


@pytest.mark.parametrize("draw", [against_batch_size, against_augmentation])
def test_the_untrained_net_is_a_line(draw: Any):
    spec = draw(study(TWO_SEEDS)).to_dict()
    texts = [layer for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    assert spec["datasets"][texts[0]["data"]["name"]] == [{"mean": pytest.approx(0.28), "text": "untrained net"}]


@pytest.mark.parametrize("draw", [against_batch_size, against_augmentation])
def test_axes_are_in_words_and_percent_before_any_result_too(draw: Any):
    waiting = study(dict.fromkeys(TWO_SEEDS), state="queued")
    for results in (study(TWO_SEEDS), waiting):
        encodings = [layer["encoding"] for layer in draw(results).to_dict()["layer"]]
        assert {encoding["y"]["title"] for encoding in encodings} == {"Linear accuracy, test images"}
        assert {encoding["y"]["axis"]["format"] for encoding in encodings} == {".0%"}
        assert {e["x"]["title"] for e in encodings if "title" in e.get("x", {})} <= {
            "Batch size (images)",
            "Augmentation",
        }


def test_places_that_are_not_measured_yet_are_kept_free():
    waiting = study({("crop", 64, 0): 0.2, ("color", 64, 0): None, ("crop", 1024, 0): None, ("color", 1024, 0): None})
    by_augmentation, by_size = against_augmentation(waiting).to_dict(), against_batch_size(waiting).to_dict()
    assert by_augmentation["layer"][-1]["encoding"]["x"]["scale"]["domain"] == ["crop", "color"]
    assert by_augmentation["layer"][-1]["encoding"]["color"]["scale"]["domain"] == ["64", "1024"]
    assert by_size["layer"][-1]["encoding"]["x"]["axis"]["values"] == [64, 1024]
    assert by_size["layer"][-1]["encoding"]["x"]["scale"]["type"] == "log"


def test_runs_that_differ_on_another_axis_are_not_averaged_together():
    results = study({("crop", 64, 0): 0.2, ("crop", 64, 1): 0.4})
    for place, result in enumerate(results.results):
        result.cell["epochs"] = str(10 * (place + 1))
    means = with_means(accuracy_points(results, "linear_top1"))
    assert means[["series", "n"]].to_numpy().tolist() == [["epochs 10", 1], ["epochs 20", 1]]
