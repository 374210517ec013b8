"""A config goes through the form unchanged, and what is wrong in a form is named at its field."""

import math

import pytest

from backend.contracts.config import ExperimentConfig, HeadConfig
from frontend.components.config_fields import all_fields, config_sections, optional_sections
from frontend.components.config_form import in_words
from frontend.components.config_values import asked_evaluation, build, differences, field_errors, flatten, op_values

DEFAULTS = flatten(ExperimentConfig())
DEFAULT_OPS = op_values(ExperimentConfig())


def test_a_form_holds_every_field_and_every_switch_whatever_the_config():
    names = [path.removeprefix("evaluation.") for path in optional_sections()]
    everything_on = ExperimentConfig.model_validate(
        {"dataset": {"name": "mine"}, "evaluation": {name: {} for name in names}}
    )
    assert set(flatten(everything_on)) == set(DEFAULTS) == {*all_fields(), *optional_sections()}
    assert [DEFAULTS[path] for path in optional_sections()] == [False] * len(optional_sections())


def test_the_defaults_of_the_form_are_the_default_config():
    assert build(DEFAULTS, DEFAULT_OPS) == (ExperimentConfig(), {})


@pytest.mark.parametrize(
    "config",
    [
        {
            "dataset": {"name": "mine", "train_subset": 4000},
            "augmentation": {"ops": [{"name": "blur"}, {"name": "crop", "min_area": 0.3}], "branches": "one"},
            "head": {"kind": "none"},
            "training": {"batch_size": 96},
        },
        {"augmentation": {"ops": [{"name": "flip"}, {"name": "crop"}, {"name": "flip", "probability": 0.123456789}]}},
        {"encoder": {"arch": "timm:vit_tiny_patch16_224"}},
        {"training": {"micro_batch_size": 64}},
        {"training": {"micro_batch_size": "auto"}},
        {
            "evaluation": {
                "linear_sgd": {},
                "semi_supervised": {"label_shares": [0.0123456789, 0.1, 1.0], "epochs": [60, 30, 7]},
                "transfer": {"datasets": ["pets", "birds"]},
                "transformations": {"tasks": ["sobel"]},
                "projection": {"method": "tsne", "neighbors": 0},
            }
        },
    ],
)
def test_a_config_survives_the_way_through_the_form(config: dict):
    before = ExperimentConfig.model_validate(config)
    assert build(flatten(before), op_values(before)) == (before, {})


@pytest.mark.parametrize("written", ["many", "0", "2.5"])
def test_what_is_neither_a_number_nor_the_word_is_told_once(written: str):
    _, errors = build(DEFAULTS | {"training.micro_batch_size": written}, DEFAULT_OPS)
    assert errors == {"training.micro_batch_size": "Give a number of images from 1 to 65,536, or 'auto'."}


def test_a_section_that_is_off_stays_out_whatever_its_fields_hold():
    values = DEFAULTS | {"evaluation.semi_supervised.epochs": "rubbish"}
    assert build(values, DEFAULT_OPS) == (ExperimentConfig(), {})


def test_bad_values_are_named_at_their_fields():
    values = DEFAULTS | {
        "training.batch_size": 1,
        "training.epochs": 10**9,
        "optimizer.learning_rate": math.nan,
        "training.seed": None,
        "encoder.arch": "vgg",
    }
    config, errors = build(values, [{"name": "flip"}, {"name": "crop", "min_area": 3.0}])
    assert config is None
    assert errors.pop("encoder.arch").startswith("'vgg' is no encoder")
    assert errors == {
        "augmentation.ops.1.min_area": "Must be at most 1.",
        "training.epochs": "Must be at most 100,000.",
        "training.batch_size": "Must be at least 2.",
        "training.seed": "Must be a number.",
        "optimizer.learning_rate": "Must be a finite number.",
    }


def test_bad_numbers_in_a_list_and_empty_lists_are_named_at_the_list():
    values = DEFAULTS | {
        "evaluation.semi_supervised": True,
        "evaluation.semi_supervised.label_shares": "0.01; ten, 2",
        "evaluation.semi_supervised.epochs": "1.5",
        "evaluation.transfer": True,
        "evaluation.transfer.datasets": [],
    }
    assert build(values, DEFAULT_OPS)[1] == {
        "evaluation.semi_supervised.label_shares": "'ten' is no number. Must be at most 1.",
        "evaluation.semi_supervised.epochs": "'1.5' is no whole number.",
        "evaluation.transfer.datasets": "Give at least 1.",
    }


def test_an_error_about_two_fields_stands_at_the_one_it_begins_with():
    _, errors = build(DEFAULTS | {"dataset.train_subset": 100, "training.batch_size": 256}, DEFAULT_OPS)
    assert list(errors) == ["training.batch_size"]
    assert "more than dataset.train_subset (100)" in errors["training.batch_size"]
    shares = DEFAULTS | {"evaluation.semi_supervised": True, "evaluation.semi_supervised.epochs": "60"}
    assert list(build(shares, DEFAULT_OPS)[1]) == ["evaluation.semi_supervised.epochs"]
    blur = DEFAULTS | {"dataset.image_size": 8}
    assert list(build(blur, [{"name": "blur"}])[1]) == ["augmentation.ops"]


def test_what_the_backend_names_is_found_in_the_form():
    refused = [
        (("config", "training", "batch_size"), "too many"),
        (("config", "augmentation", "ops", "2", "crop", "min_area"), "too small"),
        (("config", "augmentation", "ops", "0", "crop"), "min_area must not exceed max_area"),
        (("evaluation", "transfer", "datasets", "0"), "no such dataset"),
    ]
    assert field_errors(refused) == {
        "training.batch_size": "too many",
        "augmentation.ops.2.min_area": "too small",
        "augmentation.ops.0": "min_area must not exceed max_area",
        "evaluation.transfer.datasets": "no such dataset",
    }


def test_more_evaluation_asks_for_the_fields_that_differ_from_the_runs():
    config = ExperimentConfig.model_validate({"evaluation": {"projection": {}, "linear": False}})
    assert asked_evaluation(flatten(config), config) == (None, {})
    values = flatten(config) | {
        "evaluation.linear_sgd": True,
        "evaluation.linear_sgd.epochs": 3,
        "evaluation.linear": True,
    }
    request, errors = asked_evaluation(values, config)
    assert errors == {}
    assert request is not None
    assert request.model_dump(exclude_unset=True) == {
        "evaluation": {"linear": True, "linear_sgd": {"epochs": 3, "batch_size": 256, "learning_rate": 0.1}}
    }


def test_more_evaluation_that_does_not_fit_the_run_is_named_at_its_field():
    config = ExperimentConfig(head=HeadConfig(kind="none"))
    request, errors = asked_evaluation(flatten(config) | {"evaluation.on_z": True}, config)
    assert request is None
    assert list(errors) == ["evaluation.on_z"]
    request, errors = asked_evaluation(
        flatten(config) | {"evaluation.linear_sgd": True, "evaluation.linear_sgd.epochs": 0}, config
    )
    assert (request, errors) == (None, {"evaluation.linear_sgd.epochs": "Must be at least 1."})


def test_errors_are_listed_with_the_labels_of_their_fields():
    said = in_words(
        {
            "optimizer.learning_rate": "must be a number",
            "augmentation.ops.2.min_area": "too small",
            "evaluation.linear_sgd.epochs": "too few",
            "config": "no",
        }
    )
    assert said.splitlines() == [
        "- **Optimiser, Learning rate**: Must be a number",
        "- **Augmentation, transformation 3, Min area**: Too small",
        "- **Linear evaluation by SGD, Epochs**: Too few",
        "- **config**: No",
    ]


def test_a_line_says_what_differs_from_the_defaults():
    sections = {section.path: section for section in config_sections()}
    assert differences(sections["optimizer"], DEFAULTS) == []
    changed = DEFAULTS | {"optimizer.name": "lars", "optimizer.learning_rate": 1.0, "optimizer.nesterov": True}
    assert differences(sections["optimizer"], changed) == ["optimiser lars", "learning rate 1", "Nesterov"]
    changed = DEFAULTS | {"evaluation.linear": False, "evaluation.knn_neighbors": 20, "evaluation.projection": True}
    assert differences(sections["evaluation"], changed) == [
        "kNN neighbours 20",
        "no linear evaluation",
        "Map of test images",
    ]
