"""Words, rows, named augmentations, and the colours that the theme and the charts share."""

import tomllib
from pathlib import Path

import pytest

from backend.contracts.augmentation import AugmentationConfig, ColorOp
from backend.contracts.config import ExperimentConfig
from backend.contracts.estimates import Estimate
from backend.contracts.previews import ViewTriple
from backend.contracts.runs import MetricSeries
from frontend.charts import palette
from frontend.charts.curves import curve_points, curves
from frontend.components import words
from frontend.components.compositions import axes, compositions, number_of_runs, whole_numbers
from frontend.components.estimate import estimate_rows
from frontend.components.runs_table import matching, run_rows
from frontend.components.views import views_html
from tests.frontend.results import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_durations_are_said_in_two_units(seconds: float | None, text: str):
    assert words.duration(seconds) == text


def test_sizes_shares_and_counts():
    assert [words.size(n) for n in (0, 999, 1_500_000, 3e15)] == ["0 B", "999 B", "1.5 MB", "3000.0 TB"]
    assert [words.percent(0.4312), words.percent(None)] == ["43.1%", "-"]
    assert [words.count(1, "run"), words.count(2000, "run"), words.count(2, "class", "classes")] == [
        "1 run",
        "2,000 runs",
        "2 classes",
    ]


def test_large_numbers_are_said_in_words():
    assert [words.amount(n) for n in (7, 66_048, 11_168_832, 2.5e9)] == [
        "7",
        "66 thousand",
        "11.2 million",
        "2.5 billion",
    ]


ESTIMATE = Estimate(
    images=5000,
    steps_per_epoch=19,
    steps=570,
    peak_learning_rate=0.3,
    encoder_stem="cifar",
    h_dim=512,
    z_dim=128,
    encoder_parameters=11_168_832,
    head_parameters=328_704,
    views_per_step=512,
    candidates_per_anchor=511,
    batch_norm="Batch statistics: 512 views.",
    pixel_bytes=15_360_000,
    seconds=200.0,
    seconds_source="measured",
    images_per_second=729.6,
    measured_runs=2,
    device="CPU",
    advice=[],
)


def test_an_estimate_says_what_is_known_in_words():
    assert estimate_rows(ESTIMATE) == [
        ("Steps", "570, 19 an epoch"),
        ("Peak rate", "0.3"),
        ("Encoder", "11.2 million parameters, stem cifar, h of 512 dimensions"),
        ("z", "128 dimensions, head of 329 thousand parameters"),
        ("A step", "512 views, each compared with 511 others"),
        ("Batch norm", "Batch statistics: 512 views."),
        ("Images", "5,000, 15.4 MB of pixels on the device"),
        ("Pretraining", "about 3 min 20 s, measured: 730 images/s in 2 runs on CPU"),
    ]


def test_an_estimate_leaves_out_what_is_unknown_and_says_so_of_the_time():
    unknown = dict.fromkeys(
        ("images", "steps_per_epoch", "steps", "encoder_stem", "h_dim", "z_dim", "encoder_parameters", "pixel_bytes"),
    )
    found = ESTIMATE.model_copy(update=unknown | {"seconds": None, "seconds_source": "unknown"})
    rows = dict(estimate_rows(found))
    assert list(rows) == ["Peak rate", "Encoder", "A step", "Batch norm", "Pretraining"]
    assert rows["Encoder"].startswith("a net of timm")
    assert rows["Pretraining"].startswith("time unknown")


def test_a_row_of_the_table_holds_what_a_person_compares():
    rows = run_rows([run("a", summary={"linear_top1": 0.43, "knn_top1": 0.39}), run("b", state="queued")])
    assert list(rows.index) == ["a", "b"]
    assert rows.loc["a", ["linear", "knn", "batch_size", "dataset", "augmentation"]].tolist() == [
        43.0,
        39.0,
        256,
        "shapes",
        "crop + flip + color 0.5",
    ]
    assert rows["linear"].isna().tolist() == [False, True]


def test_runs_are_found_by_all_words_and_by_state():
    runs = [run("a", dataset={"name": "cifar10"}), run("b", state="queued"), run("c", augmentation={"ops": []})]
    assert [one.id for one in matching(runs, "", [])] == ["a", "b", "c"]
    assert [one.id for one in matching(runs, "CIFAR mine", [])] == ["a"]
    assert [one.id for one in matching(runs, "crop", ["succeeded"])] == ["a"]
    assert matching(runs, "cifar10 none", []) == []


def test_a_studys_augmentations_keep_the_base_configs_parameters():
    base = ExperimentConfig(augmentation=AugmentationConfig(ops=(ColorOp(strength=1.0),)))
    assert compositions(base.augmentation)["crop + color"][-1] == ColorOp(strength=1.0)
    augmentation, batch = axes(base, ["color", "none"], [64, 256])
    assert [point.label for point in augmentation.points] == ["color", "none"]
    assert augmentation.points[0].set["augmentation.ops"][0]["strength"] == 1.0
    assert [point.set for point in batch.points] == [{"training.batch_size": 64}, {"training.batch_size": 256}]
    assert axes(base, [], [64])[0].name == "batch size"


def test_numbers_are_read_from_a_list_and_a_wrong_one_is_named():
    assert whole_numbers("64, 128 256;64") == [64, 128, 256]
    assert whole_numbers("") == []
    with pytest.raises(ValueError, match=r"'1\.5' is no whole number"):
        whole_numbers("64, 1.5")
    assert number_of_runs([3, 2, 0]) == 6


def test_curves_hold_every_run_under_its_name():
    series = [MetricSeries(name="loss", steps=[1, 2], epochs=[0.5, 1.0], values=[5.0, 4.0])]
    points = curve_points({"a": series, "b": series}, "loss")
    assert points["run"].tolist() == ["a", "a", "b", "b"]
    spec = curves(points, "loss", ["a", "b"]).to_dict()
    assert spec["encoding"]["color"]["scale"]["domain"] == ["a", "b"]
    assert spec["encoding"]["y"]["title"] == "Loss"
    assert len(curve_points({"a": series}, "knn_top1")) == 0


def test_labels_in_the_preview_cannot_carry_markup():
    item = ViewTriple(label="<script>x</script>", image_png="AA", view1_png="BB", view2_png="CC")
    html = views_html([item])
    assert "<script>" not in html
    assert html.count("data:image/png;base64,") == 3


def test_the_theme_and_the_charts_share_their_colours_and_nothing_comes_from_outside():
    text = (ROOT / ".streamlit" / "config.toml").read_text()
    config = tomllib.loads(text)
    assert tuple(config["theme"]["light"]["chartCategoricalColors"]) == palette.LIGHT
    assert tuple(config["theme"]["dark"]["chartCategoricalColors"]) == palette.DARK
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["address"] == "127.0.0.1"
    assert "http" not in text
