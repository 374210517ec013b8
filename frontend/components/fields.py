"""The inputs of a form's fields: one widget a kind, each with its error."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from frontend.components.config_fields import FormField, FormSection
from frontend.components.kept_values import KeptValues
from frontend.components.text import plain

_OF_DATASETS = frozenset({"dataset.name", "evaluation.transfer.datasets"})
"""Fields that name datasets."""
_COLUMNS = 3


def draw_section(
    section: FormSection,
    kept: KeptValues,
    errors: Mapping[str, str],
    datasets: Sequence[str],
    leave_out: Sequence[str] = (),
) -> None:
    """The fields of a section, three in a row, then the sections inside it, each with a switch."""
    draw_fields([field for field in section.fields if field.path not in leave_out], kept, errors, datasets)
    for inner in section.sections:
        if inner.optional:
            kept.ready(inner.path)
            is_on = st.toggle(inner.title, key=kept.key_of(inner.path), help=inner.help)
            show_error(errors, inner.path)
            if not is_on:
                continue
        with st.container(border=True):
            draw_section(inner, kept, errors, datasets, leave_out)


def draw_fields(
    fields: Sequence[FormField],
    kept: KeptValues,
    errors: Mapping[str, str],
    datasets: Sequence[str] = (),
    *,
    below: str = "",
) -> None:
    """Fields in rows, each with its error. Where their paths are not whole, they and the errors stand ``below`` one."""
    for row in rows(fields):
        for column, field in zip(st.columns(_COLUMNS), row, strict=False):
            with column:
                draw_field(field, kept, f"{below}{field.path}", datasets)
                show_error(errors, f"{below}{field.path}")


def rows(fields: Sequence[FormField]) -> list[Sequence[FormField]]:
    """The fields in rows of three, switches below the others: they are not as high."""
    kinds = ([f for f in fields if f.kind != "switch"], [f for f in fields if f.kind == "switch"])
    return [kind[start : start + _COLUMNS] for kind in kinds for start in range(0, len(kind), _COLUMNS)]


def draw_field(field: FormField, kept: KeptValues, path: str, datasets: Sequence[str] = ()) -> None:
    """The widget of a field, with the value that is kept under ``path``."""
    value = kept.ready(path)
    shared: dict[str, Any] = {"key": kept.key_of(path), "help": field.help}
    match field.kind:
        case "choice":
            st.selectbox(field.label, field.choices, **shared)
        case "suggestion":
            st.selectbox(field.label, _with(field.choices, [value]), accept_new_options=True, **shared)
        case "switch":
            st.checkbox(field.label, **shared)
        case "text" if field.path in _OF_DATASETS:
            st.selectbox(field.label, _with(datasets, [value]), **shared)
        case "text":
            st.text_input(field.label, **shared)
        # no bounds for the widget: it would drop a bad value without a word
        case "integer":
            st.number_input(field.label, value=None, step=1, placeholder=_when_empty(field), **shared)
        case "number":
            step = _step(field.default)
            st.number_input(field.label, value=None, step=step, format="%g", placeholder=_when_empty(field), **shared)
        case "numbers" | "choices" | "names":
            _draw_list(field, value, datasets, shared)


def _draw_list(field: FormField, value: Any, datasets: Sequence[str], shared: dict[str, Any]) -> None:
    if field.kind == "numbers":
        st.text_input(field.label, placeholder="such as 1, 2, 3", **shared)
    elif field.kind == "choices":
        st.multiselect(field.label, field.choices, **shared)
    elif field.path in _OF_DATASETS:
        st.multiselect(field.label, _with(datasets, value), **shared)
    else:
        st.multiselect(field.label, value, accept_new_options=True, **shared)


def show_error(errors: Mapping[str, str], path: str) -> None:
    """The error at a path, if there is one."""
    if path in errors:
        st.markdown(f":red[:material/error: {plain(sentence(errors[path]))}]")


def sentence(message: str) -> str:
    """The message with a capital letter."""
    return message[:1].upper() + message[1:]


def _with(options: Sequence[str], chosen: Sequence[str | None]) -> list[str]:
    """The options, and what is chosen though it is none of them."""
    return [*options, *(one for one in chosen if one is not None and one not in options)]


def _when_empty(field: FormField) -> str | None:
    """What an empty field means, as its help says it: ``Empty: all.``"""
    said = re.search(r"Empty: (.+?)\.(?:\s|$)", field.help)
    return said[1] if said and field.optional else None


def _step(default: float | None) -> float:
    """A step of a tenth of the default's magnitude."""
    return 0.1 if not default or abs(default) >= 0.3 else min(0.01, abs(default))
