"""The config's JSON schema as a list of form fields, and a form's values as a config or errors by field."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from backend.contracts.config import ExperimentConfig

Kind = Literal["integer", "number", "choice", "switch", "text"]
_LABELS = {
    "dataset.name": "Dataset",
    "dataset.train_subset": "Training images",
    "optimizer.name": "Optimiser",
    "optimizer.warmup_epochs": "Warm-up (epochs)",
    "loss.name": "Loss",
    "head.kind": "Projection head",
    "evaluation.linear": "Linear evaluation",
    "evaluation.knn_every_epochs": "kNN accuracy every (epochs)",
    "evaluation.knn_neighbors": "kNN neighbours",
    "training.checkpoint_every_epochs": "Checkpoint every (epochs)",
}
_WORDS = {"knn": "kNN", "lr": "learning-rate", "gpus": "GPUs", "dim": "dimension", "arch": "architecture"}


@dataclass(frozen=True)
class FormField:
    """One input. ``path`` is the dotted path in the config, such as ``training.batch_size``."""

    path: str
    label: str
    kind: Kind
    default: Any
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class FormSection:
    """A section of the config with its fields."""

    name: str
    title: str
    help: str
    fields: tuple[FormField, ...]


def config_sections() -> list[FormSection]:
    """Every section of the config but the list of transformations, which has a form of its own."""
    schema = ExperimentConfig.model_json_schema()
    found: list[FormSection] = []
    for name, reference in schema["properties"].items():
        section = schema["$defs"][reference["$ref"].rsplit("/", 1)[-1]]
        simple = {key: spec for key, spec in section["properties"].items() if key != "ops" and "$ref" not in str(spec)}
        fields = [_field(f"{name}.{key}", spec) for key, spec in simple.items()]
        found.append(FormSection(name, _label(name), section.get("description", ""), tuple(fields)))
    return found


def transformation_sections() -> list[FormSection]:
    """Every transformation with its parameters; a field's path is ``<transformation>.<parameter>``."""
    schema = ExperimentConfig.model_json_schema()
    mapping: dict[str, str] = schema["$defs"]["AugmentationConfig"]["properties"]["ops"]["items"]["discriminator"][
        "mapping"
    ]
    found: list[FormSection] = []
    for name, reference in mapping.items():
        op = schema["$defs"][reference.rsplit("/", 1)[-1]]
        fields = [_field(f"{name}.{key}", spec) for key, spec in op["properties"].items() if key != "name"]
        found.append(FormSection(name, _label(name), op.get("description", ""), tuple(fields)))
    return found


def flatten(config: ExperimentConfig) -> dict[str, Any]:
    """Dotted path to value, for every field but the list of transformations."""
    tree = config.model_dump(mode="python")
    return {f"{name}.{key}": value for name, section in tree.items() for key, value in section.items() if key != "ops"}


def build(
    values: Mapping[str, Any], ops: Iterable[Mapping[str, Any]]
) -> tuple[ExperimentConfig | None, dict[str, str]]:
    """The config from a form's values by dotted path; None and the errors by path where it cannot be."""
    tree: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, key = path.split(".", 1)
        tree.setdefault(section, {})[key] = value
    tree.setdefault("augmentation", {})["ops"] = [dict(op) for op in ops]
    try:
        return ExperimentConfig.model_validate(tree), {}
    except ValidationError as error:
        return None, field_errors((item["loc"], _say(item)) for item in error.errors())


def field_errors(errors: Iterable[tuple[Iterable[Any], str]]) -> dict[str, str]:
    """Messages by the path of the form's field: ``config.`` and positions in lists are left out of locations.

    A message that begins with a field's path, as those about several fields do, belongs to that field.
    """
    known = {field.path for section in config_sections() for field in section.fields}
    found: dict[str, str] = {}
    for location, message in errors:
        parts = [str(part) for part in location if part != "config"]
        in_op = parts[:2] == ["augmentation", "ops"]  # then the position in the list and the kind of op follow
        path = (".".join(parts[3:5]) or "augmentation.ops") if in_op else ".".join(parts)
        named = re.match(r"[a-z_]+\.[a-z_]+", message)
        if path not in known and named and named.group() in known:
            path = named.group()
        found[path] = f"{found[path]} {message}" if path in found else message
    return found


def _field(path: str, spec: Mapping[str, Any]) -> FormField:
    variants = [one for one in spec.get("anyOf", [spec]) if one.get("type") != "null"]
    typed: Mapping[str, Any] = variants[0]
    choices = tuple(str(choice) for choice in typed.get("enum", [typed["const"]] if "const" in typed else ()))
    kinds: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "switch", "string": "text"}
    kind: Kind = "choice" if choices else kinds[typed["type"]]
    return FormField(
        path=path,
        label=_LABELS.get(path) or _label(path.rsplit(".", 1)[-1]),
        kind=kind,
        default=spec.get("default"),
        help=" ".join(part for part in (spec.get("description", ""), _bounds(typed)) if part),
        optional="anyOf" in spec,
        choices=choices,
    )


def _bounds(spec: Mapping[str, Any]) -> str:
    low, high = spec.get("minimum", spec.get("exclusiveMinimum")), spec.get("maximum", spec.get("exclusiveMaximum"))
    if low is None or high is None:
        return ""
    above = "above " if "exclusiveMinimum" in spec else ""
    below = "below " if "exclusiveMaximum" in spec else ""
    upper = f" to {below}{_number(high)}" if high < 1e6 else ""
    return f"From {above}{_number(low)}{upper}."


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _label(name: str) -> str:
    words = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return words[0].upper() + words[1:] if not words.startswith("kNN") else words


def _say(item: Mapping[str, Any]) -> str:
    context: Mapping[str, Any] = item.get("ctx", {})
    match item["type"]:
        case "greater_than_equal":
            return f"Must be at least {_number(context['ge'])}."
        case "less_than_equal":
            return f"Must be at most {_number(context['le'])}."
        case "greater_than":
            return f"Must be more than {_number(context['gt'])}."
        case "less_than":
            return f"Must be less than {_number(context['lt'])}."
        case "finite_number":
            return "Must be a finite number."
        case "int_type" | "float_type" | "int_parsing" | "float_parsing":
            return "Must be a number."
        case _:
            return str(item["msg"]).removeprefix("Value error, ")
