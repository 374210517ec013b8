import math

import pytest
from pydantic import ValidationError

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
