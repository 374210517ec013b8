"""The form of an experiment, drawn from the config's schema, with each error at its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from backend.contracts.config import ExperimentConfig
from frontend.components.config_fields import (
    FormField,
    build,
    config_sections,
    flatten,
    transformation_sections,
)

OPS = "augmentation.ops"
_OPEN_SECTIONS = ("dataset", "augmentation", "training")
_TITLES = {"optimizer": "Optimiser", "head": "Projection head"}


@dataclass(frozen=True)
class Draft:
    """What the form holds: a config, or the errors by field that stand against it."""

    config: ExperimentConfig | None
    errors: Mapping[str, str]


class ConfigForm:
    """One form. Its values live in the session under its name, and outlive a visit to another page."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sections = config_sections()
        self._transformations = transformation_sections()
        self._saved: dict[str, Any] = st.session_state.setdefault(f"{name}:saved", {})
        defaults = _values_of(ExperimentConfig()) | {
            f.path: f.default for section in self._transformations for f in section.fields
        }
        for path, default in defaults.items():
            # a widget's own value is lost when another page is shown: restore it before the widget is drawn
            st.session_state.setdefault(self._key(path), self._saved.get(path, default))

    def prefill(self, config: ExperimentConfig) -> None:
        """Put a config's values in."""
        for path, value in _values_of(config).items():
            st.session_state[self._key(path)] = value

    def read(self) -> Draft:
        """The config that the form holds now."""
        paths = [f.path for section in self._sections for f in section.fields]
        ops = [
            {"name": section.name} | {f.path.split(".")[1]: self._value(f.path) for f in section.fields}
            for name in self._value(OPS)
            for section in self._transformations
            if section.name == name
        ]
        self._saved.update({path: self._value(path) for path in [OPS, *paths, *self._transformation_paths()]})
        return Draft(*build({path: self._value(path) for path in paths}, ops))

    def draw(self, datasets: Sequence[str], errors: Mapping[str, str], *, leave_out: Sequence[str] = ()) -> None:
        """Draw the inputs; ``errors`` by path, ``leave_out`` the paths of fields that something else decides."""
        for section in self._sections:
            fields = [f for f in section.fields if f.path not in leave_out]
            title = _TITLES.get(section.name, section.title)
            if section.name in _OPEN_SECTIONS:
                st.subheader(title, help=section.help)
                if section.name == "augmentation" and OPS not in leave_out:
                    self._draw_ops(errors)
                self._draw_fields(fields, errors, datasets)
                continue
            wrong = any(path.startswith(f"{section.name}.") for path in errors)
            with st.expander(f"{title} :red[- see below]" if wrong else title, expanded=wrong):
                st.caption(section.help)
                self._draw_fields(fields, errors, datasets)

    def _draw_ops(self, errors: Mapping[str, str]) -> None:
        st.multiselect(
            "Transformations, in this order",
            [section.name for section in self._transformations],
            key=self._key(OPS),
            help="Each view of an image goes through these, with parameters drawn anew.",
        )
        _show_error(errors, OPS)
        chosen: list[str] = self._value(OPS)
        for name in chosen:
            section = next(one for one in self._transformations if one.name == name)
            wrong = any(path == name or path.startswith(f"{name}.") for path in errors)
            with st.expander(f"Parameters of {name}", expanded=wrong):
                st.caption(section.help.replace("``", "`"))
                _show_error(errors, name)
                self._draw_fields(section.fields, errors, ())

    def _draw_fields(self, fields: Sequence[FormField], errors: Mapping[str, str], datasets: Sequence[str]) -> None:
        for start in range(0, len(fields), 3):
            for column, field in zip(st.columns(3), fields[start : start + 3], strict=False):
                with column:
                    self._draw_field(field, datasets)
                    _show_error(errors, field.path)

    def _draw_field(self, field: FormField, datasets: Sequence[str]) -> None:
        shared: dict[str, Any] = {"key": self._key(field.path), "help": field.help}
        value = self._value(field.path)
        if field.path == "dataset.name":
            st.selectbox(field.label, [*datasets, *([] if value in datasets else [value])], **shared)
            return
        match field.kind:
            case "choice":
                st.selectbox(field.label, field.choices, **shared)
            case "switch":
                st.checkbox(field.label, **shared)
            case "text":
                st.text_input(field.label, **shared)
            # no bounds for the widget: it would drop a bad value without a word
            case "integer":
                st.number_input(
                    field.label, value=None, step=1, placeholder="all" if field.optional else None, **shared
                )
            case "number":
                st.number_input(field.label, value=None, step=_step(field.default), format="%g", **shared)

    def _key(self, path: str) -> str:
        return f"{self._name}:{path}"

    def _value(self, path: str) -> Any:
        return st.session_state[self._key(path)]

    def _transformation_paths(self) -> list[str]:
        return [f.path for section in self._transformations for f in section.fields]


def in_words(errors: Mapping[str, str]) -> str:
    """The errors as a list in Markdown, with the fields' labels."""
    labels = {
        field.path: f"{_TITLES.get(section.name, section.title)}, {field.label}"
        for section in [*config_sections(), *transformation_sections()]
        for field in section.fields
    }
    return "\n".join(f"- **{labels.get(path, path)}**: {sentence(message)}" for path, message in errors.items())


def sentence(message: str) -> str:
    """The message with a capital letter."""
    return message[:1].upper() + message[1:]


def _values_of(config: ExperimentConfig) -> dict[str, Any]:
    """Form values: fields by path, the names of the transformations, and their parameters."""
    values = flatten(config) | {OPS: list(dict.fromkeys(op.name for op in config.augmentation.ops))}
    for op in config.augmentation.ops:
        values |= {f"{op.name}.{key}": value for key, value in op.model_dump().items() if key != "name"}
    return values


def _step(default: float | None) -> float:
    """A step of a tenth of the default's magnitude."""
    return 0.1 if not default or default >= 0.3 else min(0.01, default)


def _show_error(errors: Mapping[str, str], path: str) -> None:
    if path in errors:
        st.markdown(f":red[:material/error: {sentence(errors[path])}]")
