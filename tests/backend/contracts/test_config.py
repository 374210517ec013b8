import math

import pytest
from pydantic import ValidationError

from backend.contracts.augmentation import AugmentationConfig
from backend.contracts.config import ExperimentConfig


def test_a_dataset_name_alone_is_a_complete_config():
    config = ExperimentConfig.model_validate({"dataset": {"name": "shapes"}})
    assert config.augmentation.label == "crop + flip + color 0.5"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"training": {"batch_size": 1}}, "training.batch_size"),
        ({"training": {"batch_size": 1_000_000_000}}, "training.batch_size"),
        ({"optimizer": {"learning_rate": math.nan}}, "optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": math.inf}}, "optimizer.learning_rate"),
        ({"training": {"epoch": 3}}, "training.epoch"),
        ({"dataset": {"name": "../etc/passwd"}}, "dataset.name"),
    ],
)
def test_a_bad_value_is_refused_by_name(change, field):
    with pytest.raises(ValidationError) as caught:
        ExperimentConfig.model_validate(change)
    assert field in {".".join(map(str, error["loc"])) for error in caught.value.errors()}


def test_a_batch_larger_than_the_subset_is_refused():
    with pytest.raises(ValidationError, match="no full batch"):
        ExperimentConfig.model_validate({"dataset": {"train_subset": 100}, "training": {"batch_size": 200}})


def test_linear_and_square_root_scaling_meet_at_4096():
    def peak(scaling: str, batch: int) -> float:
        return ExperimentConfig.model_validate(
            {"training": {"batch_size": batch}, "optimizer": {"learning_rate": 0.3, "lr_scaling": scaling}}
        ).peak_learning_rate

    assert peak("linear", 4096) == pytest.approx(4.8)
    assert peak("sqrt", 4096) == pytest.approx(4.8)
    assert peak("sqrt", 1024) == pytest.approx(0.075 * math.sqrt(1024))
    assert peak("linear", 512) == pytest.approx(0.6)


def test_every_field_is_described_and_has_a_default():
    schema = ExperimentConfig.model_json_schema()
    for name, section in schema["$defs"].items():
        for field, spec in section["properties"].items():
            assert "default" in spec or "const" in spec, f"{name}.{field} has no default"
            assert "description" in spec or "const" in spec, f"{name}.{field} has no description"


@pytest.mark.parametrize(
    ("ops", "branches", "label"),
    [
        ([], "both", "none"),
        (["crop", "flip", "color"], "both", "crop + flip + color 0.5"),
        (["crop", "rotate", "motion_blur"], "both", "crop + rotate + motion blur"),
        ([{"name": "color", "strength": 0.125}], "one", "color 0.125 (one view)"),
        ([], "one", "none (one view)"),
        ([{"name": "autoaugment", "policy": "cifar10"}], "both", "autoaugment cifar10"),
        ([{"name": "jitter", "strength": 1}], "both", "jitter 1"),
        ([{"name": "jitter", "hue": 0}], "both", "jitter 0.5, hue 0"),
        (
            [{"name": "jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}],
            "both",
            "jitter brightness 0.4, contrast 0.4, saturation 0.2, hue 0.1",
        ),
    ],
)
def test_a_composition_is_named_in_a_few_words(ops, branches, label):
    ops = [{"name": op} if isinstance(op, str) else op for op in ops]
    assert AugmentationConfig.model_validate({"ops": ops, "branches": branches}).label == label


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        ("crop", "min_area", "max_area"),
        ("crop", "min_ratio", "max_ratio"),
        ("blur", "min_sigma", "max_sigma"),
        ("cutout", "min_size", "max_size"),
        ("noise", "min_sigma", "max_sigma"),
        ("motion_blur", "min_length", "max_length"),
    ],
)
def test_a_range_whose_ends_are_swapped_is_refused(op, low, high):
    with pytest.raises(ValidationError, match=f"{low} must not exceed {high}"):
        AugmentationConfig.model_validate({"ops": [{"name": op, low: 0.2, high: 0.1}]})
    AugmentationConfig.model_validate({"ops": [{"name": op, low: 0.2, high: 0.2}]})
