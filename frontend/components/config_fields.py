"""The config's JSON schema as sections of form fields, to any depth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from backend.contracts.config import ExperimentConfig

Kind = Literal["integer", "number", "switch", "text", "suggestion", "choice", "numbers", "choices", "names"]
"""``suggestion``: text, or a number or a word, with examples to choose from. ``numbers``: a list, written as text with commas. ``choices`` and
``names``: a list of given, or of any, words.
"""
OPS = "augmentation.ops"
"""The list of transformations, which has a form of its own."""
_LABELS = {
    "dataset.name": "Dataset",
    "dataset.train_subset": "Training images",
    "dataset.pretrain_on": "Pretrain on",
    "encoder.zero_init_residual": "Zero-initialised residuals",
    "optimizer.name": "Optimiser",
    "optimizer.warmup_epochs": "Warm-up (epochs)",
    "loss.name": "Loss",
    "loss.semi_hard": "Semi-hard mining",
    "head.kind": "Projection head",
    "optimizer": "Optimiser",
    "head": "Projection head",
    "evaluation.linear": "Linear evaluation",
    "evaluation.on_z": "Evaluate z too",
    "evaluation.knn_every_epochs": "kNN accuracy every (epochs)",
    "evaluation.knn_neighbors": "kNN neighbours",
    "evaluation.linear_sgd": "Linear evaluation by SGD",
    "evaluation.semi_supervised": "Few labels (semi-supervised)",
    "evaluation.transfer": "Transfer to other datasets",
    "evaluation.supervised": "Supervised baseline",
    "evaluation.transformations": "Prediction of the transformation",
    "evaluation.projection": "Map of test images",
    "evaluation.projection.neighbors": "Neighbours",
    "training.checkpoint_every_epochs": "Checkpoint every (epochs)",
    "augmentation.ops": "Transformations",
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

    @property
    def key(self) -> str:
        """The field's name within its section."""
        return self.path.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class FormSection:
    """A section of the config with its fields and the sections inside it; an ``optional`` one may be switched off."""

    path: str
    title: str
    help: str
    fields: tuple[FormField, ...]
    sections: tuple["FormSection", ...] = ()
    optional: bool = False

    @property
    def key(self) -> str:
        """The section's name within the one around it."""
        return self.path.rsplit(".", 1)[-1]

    def walk(self) -> Iterator["FormSection"]:
        """The section and all inside it."""
        yield self
        for section in self.sections:
            yield from section.walk()


@cache
def config_sections() -> tuple[FormSection, ...]:
    """Every section of the config; the list of transformations is left out."""
    schema = ExperimentConfig.model_json_schema()
    return tuple(_section(name, spec, schema["$defs"]) for name, spec in schema["properties"].items())


@cache
def all_fields() -> Mapping[str, FormField]:
    """Every field of ``config_sections`` by its path."""
    return {field.path: field for top in config_sections() for section in top.walk() for field in section.fields}


@cache
def optional_sections() -> Mapping[str, FormSection]:
    """Every section that may be switched off, by its path."""
    return {section.path: section for top in config_sections() for section in top.walk() if section.optional}


@cache
def transformation_sections() -> Mapping[str, FormSection]:
    """Every transformation by name, with its parameters; a field's path is the parameter's name alone."""
    definitions = ExperimentConfig.model_json_schema()["$defs"]
    items = definitions["AugmentationConfig"]["properties"]["ops"]["items"]
    kinds: dict[str, str] = items["discriminator"]["mapping"]
    return {name: _transformation(name, _resolved(reference, definitions)) for name, reference in kinds.items()}


def _transformation(name: str, spec: Mapping[str, Any]) -> FormSection:
    fields = tuple(_field(key, one) for key, one in spec["properties"].items() if key != "name")
    return FormSection(name, _label(name), spec.get("description", ""), fields)


def _section(path: str, spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> FormSection:
    body = _resolved(_reference(spec) or "", definitions)
    fields: list[FormField] = []
    sections: list[FormSection] = []
    for key, one in body["properties"].items():
        if _reference(one):
            sections.append(_section(f"{path}.{key}", one, definitions))
        elif f"{path}.{key}" != OPS:
            fields.append(_field(f"{path}.{key}", one))
    help_ = body.get("description", "")
    return FormSection(path, _label(path), help_, tuple(fields), tuple(sections), optional="anyOf" in spec)


def _reference(spec: Mapping[str, Any]) -> str | None:
    """Where the schema of a section stands; None for a field."""
    return next((one["$ref"] for one in spec.get("anyOf", [spec]) if "$ref" in one), None)


def _resolved(reference: str, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    return definitions[reference.rsplit("/", 1)[-1]]


def _field(path: str, spec: Mapping[str, Any]) -> FormField:
    variants = [one for one in spec.get("anyOf", [spec]) if one.get("type") != "null"]
    typed: Mapping[str, Any] = variants[0]
    of_item: Mapping[str, Any] = typed.get("items") or next(iter(typed.get("prefixItems", ())), {})
    if _words(variants):
        kind: Kind = "suggestion"
    else:
        kind = _list_kind(of_item) if typed.get("type") == "array" else _kind(typed, spec)
    return FormField(
        path=path,
        label=_label(path),
        kind=kind,
        default=form_value(kind, spec.get("default")),
        help=" ".join(part for part in (spec.get("description", ""), _bounds(of_item or typed)) if part),
        optional="anyOf" in spec,
        choices=_choices(of_item or typed) or _words(variants) or tuple(spec.get("examples", ())),
    )


def _kind(typed: Mapping[str, Any], spec: Mapping[str, Any]) -> Kind:
    if _choices(typed):
        return "choice"
    kinds: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "switch", "string": "text"}
    kind = kinds[typed["type"]]
    return "suggestion" if kind == "text" and spec.get("examples") else kind


def _list_kind(item: Mapping[str, Any]) -> Kind:
    if _choices(item):
        return "choices"
    return "names" if item["type"] == "string" else "numbers"


def _words(variants: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The words that a field takes beside a number."""
    return tuple(word for one in variants[1:] for word in _choices(one))


def _choices(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(choice) for choice in spec.get("enum", [spec["const"]] if "const" in spec else ()))


def form_value(kind: Kind, value: Any) -> Any:
    """A config's value as the form holds it: lists of numbers are text, other lists are lists."""
    match kind:
        case "numbers":
            return ", ".join(str(one) for one in value)
        case "choices" | "names":
            return list(value)
        case "suggestion":
            return None if value is None else str(value)
        case _:
            return value


def _bounds(spec: Mapping[str, Any]) -> str:
    low, high = spec.get("minimum", spec.get("exclusiveMinimum")), spec.get("maximum", spec.get("exclusiveMaximum"))
    if low is None or high is None:
        return ""
    above = "above " if "exclusiveMinimum" in spec else ""
    below = "below " if "exclusiveMaximum" in spec else ""
    upper = f" to {below}{number(high)}" if high < 1e6 else ""
    return f"From {above}{number(low)}{upper}."


def number(value: float) -> str:
    """Such as ``65,536`` and ``0.08``."""
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _label(path: str) -> str:
    if path in _LABELS:
        return _LABELS[path]
    words = " ".join(_WORDS.get(word, word) for word in path.rsplit(".", 1)[-1].split("_"))
    return words if words.startswith("kNN") else words[0].upper() + words[1:]
