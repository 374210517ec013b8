"""The form is what the config's schema says, and its values become a config or errors at fields."""

import math

from backend.contracts.config import ExperimentConfig
from frontend.components.config_fields import (
    build,
    config_sections,
    field_errors,
    flatten,
    transformation_sections,
)

FIELDS = {field.path: field for section in config_sections() for field in section.fields}
DEFAULT_OPS = [op.model_dump() for op in ExperimentConfig().augmentation.ops]


def test_every_field_of_the_config_is_in_the_form_with_a_help_text():
    assert set(FIELDS) == set(flatten(ExperimentConfig()))
    assert [path for path, field in FIELDS.items() if not field.help] == []


def test_every_transformation_and_its_parameters_are_in_the_form():
    sections = {section.name: {field.path for field in section.fields} for section in transformation_sections()}
    assert {"crop", "flip", "color", "blur", "jitter", "motion_blur", "autoaugment"} <= set(sections)
    assert sections["blur"] == {"blur.probability", "blur.min_sigma", "blur.max_sigma"}


def test_kinds_follow_from_the_schema():
    assert FIELDS["training.batch_size"].kind == "integer"
    assert FIELDS["loss.temperature"].kind == "number"
    assert FIELDS["evaluation.linear"].kind == "switch"
    assert FIELDS["encoder.arch"].kind == "choice"
    assert FIELDS["encoder.arch"].choices == ("resnet18", "resnet34", "resnet50")
    assert FIELDS["loss.name"].choices == ("nt_xent",)
    assert FIELDS["dataset.train_subset"].optional
    assert not FIELDS["training.seed"].optional


def test_the_help_names_the_bounds():
    assert FIELDS["training.batch_size"].help.endswith("From 2 to 65,536.")
    assert FIELDS["optimizer.learning_rate"].help.endswith("From above 0 to 1,000.")
    assert FIELDS["optimizer.momentum"].help.endswith("From 0 to below 1.")


def test_the_defaults_of_the_form_are_the_default_config():
    config, errors = build({path: field.default for path, field in FIELDS.items()}, DEFAULT_OPS)
    assert errors == {}
    assert config == ExperimentConfig()


def test_a_config_survives_the_way_through_the_form():
    config = ExperimentConfig.model_validate(
        {
            "dataset": {"name": "mine", "train_subset": 4000},
            "augmentation": {"ops": [{"name": "blur"}, {"name": "crop", "min_area": 0.3}], "branches": "one"},
            "head": {"kind": "none"},
            "training": {"batch_size": 96},
        }
    )
    rebuilt, errors = build(flatten(config), [op.model_dump() for op in config.augmentation.ops])
    assert (rebuilt, errors) == (config, {})


def test_bad_values_are_named_at_their_fields():
    values = flatten(ExperimentConfig()) | {
        "training.batch_size": 1,
        "training.epochs": 10**9,
        "optimizer.learning_rate": math.nan,
        "training.seed": None,
    }
    config, errors = build(values, [{"name": "crop", "min_area": 3.0}])
    assert config is None
    assert errors == {
        "crop.min_area": "Must be at most 1.",
        "training.epochs": "Must be at most 100,000.",
        "training.batch_size": "Must be at least 2.",
        "training.seed": "Must be a number.",
        "optimizer.learning_rate": "Must be a finite number.",
    }


def test_an_error_about_two_fields_stands_at_the_one_it_begins_with():
    values = flatten(ExperimentConfig()) | {"dataset.train_subset": 100, "training.batch_size": 256}
    _, errors = build(values, DEFAULT_OPS)
    assert list(errors) == ["training.batch_size"]
    assert "more than dataset.train_subset (100)" in errors["training.batch_size"]


def test_what_the_backend_names_is_found_in_the_form():
    refused = [
        (("config", "training", "batch_size"), "too many"),
        (("config", "augmentation", "ops", "0", "crop", "min_area"), "too small"),
    ]
    assert field_errors(refused) == {"training.batch_size": "too many", "crop.min_area": "too small"}
