"""The form is what the config's schema says."""

from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from backend.contracts.augmentation import AugmentationConfig
from backend.contracts.config import ExperimentConfig
from frontend.components.config_fields import all_fields, config_sections, optional_sections, transformation_sections

FIELDS = all_fields()


def paths_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted paths of the fields of a model and of the models inside it, found from its Python types."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inside = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        models = [one for one in inside if issubclass(one, BaseModel)]
        found |= paths_of(models[0], f"{prefix}{name}.") if models else {f"{prefix}{name}"}
    return found


def test_every_field_of_the_config_is_in_the_form_with_a_help_text():
    assert set(FIELDS) == paths_of(ExperimentConfig) - {"augmentation.ops"}
    assert [path for path, field in FIELDS.items() if not field.help] == []


def test_every_section_that_may_be_left_out_has_a_switch_and_a_help_text():
    assert set(optional_sections()) == {
        f"evaluation.{name}" for name, value in ExperimentConfig().evaluation.model_dump().items() if value is None
    }
    assert [path for path, section in optional_sections().items() if not section.help] == []


def test_every_transformation_and_its_parameters_are_in_the_form():
    union = get_args(AugmentationConfig.model_fields["ops"].annotation)[0]
    union = get_args(union)[0] if get_origin(union) is Annotated else union
    kinds = get_args(union) if get_origin(union) is Union else get_args(union) or (union,)
    expected = {kind.model_fields["name"].default: set(kind.model_fields) - {"name"} for kind in kinds}
    assert {name: {f.path for f in section.fields} for name, section in transformation_sections().items()} == expected
    assert {"crop", "flip", "color", "blur"} <= set(expected)


def test_kinds_follow_from_the_schema():
    assert FIELDS["training.batch_size"].kind == "integer"
    assert FIELDS["loss.temperature"].kind == "number"
    assert FIELDS["evaluation.linear"].kind == "switch"
    assert FIELDS["loss.name"].kind == "choice"
    assert FIELDS["loss.name"].choices == ("nt_xent", "nt_logistic", "margin_triplet")
    assert FIELDS["dataset.name"].kind == "text"
    assert FIELDS["dataset.train_subset"].optional
    assert not FIELDS["training.seed"].optional


def test_text_with_examples_is_chosen_from_them_or_written():
    field = FIELDS["encoder.arch"]
    assert field.kind == "suggestion"
    assert field.choices == ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def test_a_number_or_a_word_is_chosen_or_written():
    field = FIELDS["training.micro_batch_size"]
    assert (field.kind, field.choices, field.optional, field.default) == ("suggestion", ("auto",), True, None)


def test_lists_are_numbers_as_text_or_words_to_choose():
    shares, tasks = FIELDS["evaluation.semi_supervised.label_shares"], FIELDS["evaluation.transformations.tasks"]
    assert (shares.kind, shares.default) == ("numbers", "0.01, 0.1")
    assert (tasks.kind, tasks.choices) == ("choices", ("color", "rotation", "corruption", "sobel"))
    assert FIELDS["evaluation.transfer.datasets"].kind == "names"


def test_the_help_names_the_bounds():
    assert FIELDS["training.batch_size"].help.endswith("From 2 to 65,536.")
    assert FIELDS["optimizer.learning_rate"].help.endswith("From above 0 to 1,000.")
    assert FIELDS["optimizer.momentum"].help.endswith("From 0 to below 1.")
    assert FIELDS["evaluation.semi_supervised.label_shares"].help.endswith("From above 0 to 1.")


def test_sections_nest():
    (evaluation,) = [section for section in config_sections() if section.path == "evaluation"]
    assert not evaluation.optional
    assert "evaluation.linear_sgd" in [section.path for section in evaluation.sections]
