"""A config as the values of a form, and a form's values as a config or as errors by field."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import EvaluateRequest
from frontend.components.config_fields import (
    OPS,
    FormField,
    FormSection,
    all_fields,
    config_sections,
    form_value,
    number,
    optional_sections,
    transformation_sections,
)


def flatten(config: ExperimentConfig) -> dict[str, Any]:
    """Form value by dotted path, for every field but the list of transformations.

    The path of an optional section says whether it is on; the fields of one that is off have their defaults.
    """
    tree = config.model_dump(mode="json")
    values: dict[str, Any] = {}
    for section in config_sections():
        values |= _flat(section, tree[section.path])
    return values


def _flat(section: FormSection, tree: Mapping[str, Any] | None) -> dict[str, Any]:
    values: dict[str, Any] = {section.path: tree is not None} if section.optional else {}
    for field in section.fields:
        values[field.path] = field.default if tree is None else form_value(field.kind, tree[field.key])
    for inner in section.sections:
        values |= _flat(inner, None if tree is None else tree[inner.key])
    return values


def build(
    values: Mapping[str, Any], ops: Iterable[Mapping[str, Any]]
) -> tuple[ExperimentConfig | None, dict[str, str]]:
    """The config from a form's values by dotted path; None and the errors by path where it cannot be.

    Each of ``ops`` holds its ``name`` and its parameters' form values.
    """
    tree = {section.path: section_tree(section, values) for section in config_sections()}
    tree["augmentation"] = (tree["augmentation"] or {}) | {"ops": [_op_tree(op) for op in ops]}
    try:
        return ExperimentConfig.model_validate(tree), {}
    except ValidationError as error:
        return None, field_errors((item["loc"], _say(item)) for item in error.errors() if not _follows(item))


def asked_evaluation(
    values: Mapping[str, Any], config: ExperimentConfig
) -> tuple[EvaluateRequest | None, dict[str, str]]:
    """What a form asks of a finished run beyond its ``config``: a request of the fields that differ.

    None where nothing differs, or with the errors by path.
    """
    section = next(one for one in config_sections() if one.path == "evaluation")
    wanted, had = section_tree(section, values) or {}, section_tree(section, flatten(config)) or {}
    try:
        ExperimentConfig.model_validate({**config.model_dump(), "evaluation": wanted})
    except ValidationError as error:
        return None, field_errors([(item["loc"], _say(item)) for item in error.errors() if not _follows(item)])
    changed = {name: value for name, value in wanted.items() if value != had[name]}
    return (EvaluateRequest.model_validate({"evaluation": changed}) if changed else None), {}


def section_tree(section: FormSection, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """A section's part of a config from a form's values, not yet checked; None where it is switched off."""
    if section.optional and not values.get(section.path):
        return None
    own = {field.key: _config_value(field, values[field.path]) for field in section.fields if field.path in values}
    return own | {inner.key: section_tree(inner, values) for inner in section.sections}


def _op_tree(op: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field.key: field for field in transformation_sections()[op["name"]].fields}
    return {key: _config_value(fields[key], value) if key in fields else value for key, value in op.items()}


def _config_value(field: FormField, value: Any) -> Any:
    if field.kind == "numbers" and isinstance(value, str):
        return [word for word in re.split(r"[,;\s]+", value) if word]
    return value


def op_values(config: ExperimentConfig) -> list[dict[str, Any]]:
    """The transformations as a form holds them: name and parameters of each."""
    return [
        {"name": op["name"]}
        | {f.key: form_value(f.kind, op[f.key]) for f in transformation_sections()[op["name"]].fields}
        for op in config.model_dump(mode="json")["augmentation"]["ops"]
    ]


def differences(section: FormSection, values: Mapping[str, Any]) -> list[str]:
    """What differs from the defaults in a section, in a few words for each field; sections that are on are named."""
    given = [(field, values.get(field.path, field.default)) for field in section.fields]
    changed = [_differs(field, value) for field, value in given if value != field.default]
    return changed + [inner.title for inner in section.sections if values.get(inner.path)]


def _differs(field: FormField, value: Any) -> str:
    if isinstance(value, bool):
        return field.label if value else f"no {_lowered(field.label)}"
    if isinstance(value, float | int):
        return f"{_lowered(field.label)} {number(value)}"
    shown = ", ".join(value) if isinstance(value, list) else value or "empty"
    return f"{_lowered(field.label)} {shown}"


def _lowered(label: str) -> str:
    return label if label[:2].isupper() or label.startswith("kNN") else label[:1].lower() + label[1:]


def field_errors(errors: Iterable[tuple[Sequence[Any], str]]) -> dict[str, str]:
    """Messages by the path of the form's field; a transformation's is ``augmentation.ops.<position>.<parameter>``.

    A message that begins with a field's path, as those about several fields do, belongs to that field.
    """
    found: dict[str, str] = {}
    for location, message in errors:
        path = _form_path([str(part) for part in location], message)
        said = message.removeprefix(f"{path} ")
        found[path] = f"{found[path]} {said}" if path in found else said
    return found


def _form_path(location: list[str], message: str) -> str:
    parts = location[1:] if location[:1] == ["config"] else location
    if parts[:2] == OPS.split(".") and len(parts) > 2:  # position, the kind of transformation, its parameter
        return ".".join([OPS, parts[2], *parts[4:5]])
    named = re.match(r"[a-z_]+(\.[a-z0-9_]+)+", message)
    return _known(parts) or _known(named.group().split(".") if named else []) or ".".join(parts)


def _known(parts: Sequence[str]) -> str | None:
    """The longest beginning that is a field or an optional section of the form."""
    beginnings = (".".join(parts[:end]) for end in range(len(parts), 1, -1))
    return next((one for one in beginnings if one in all_fields() or one in optional_sections() or one == OPS), None)


def _follows(item: Mapping[str, Any]) -> bool:
    """Whether a list is called too short only because its entries are wrong, which is said already."""
    return item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]


_BOUNDS = {
    "greater_than_equal": ("Must be at least", "ge"),
    "less_than_equal": ("Must be at most", "le"),
    "greater_than": ("Must be more than", "gt"),
    "less_than": ("Must be less than", "lt"),
    "too_short": ("Give at least", "min_length"),
    "too_long": ("Give at most", "max_length"),
}
_SENTENCES = {
    "finite_number": "Must be a finite number.",
    "int_type": "Must be a number.",
    "float_type": "Must be a number.",
    "string_type": "Must not be empty.",
}


def _say(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {number(item['ctx'][bound])}."
    if kind in ("int_parsing", "float_parsing"):
        return f"'{item['input']}' is no {'whole ' if kind == 'int_parsing' else ''}number."
    return _SENTENCES.get(kind) or str(item["msg"]).removeprefix("Value error, ")
