"""The ordered list of transformations: add, remove, move, and the parameters of each; one may stand there twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from frontend.components.config_fields import OPS, FormSection, transformation_sections
from frontend.components.config_values import differences
from frontend.components.fields import draw_field, rows, show_error


class TransformationList:
    """A list in the session. Each entry has an id, under which its parameters are kept wherever it stands."""

    def __init__(self, form: str, default: Sequence[Mapping[str, Any]]) -> None:
        self._form = form
        self._kept: dict[str, Any] = st.session_state.setdefault(f"{form}:kept_ops", {})
        if self._key("") not in st.session_state:
            st.session_state[self._key("")] = []
            self.put(default)
        for entry, name in self._entries:
            for field in transformation_sections()[name].fields:
                key = self._key(f"{entry}.{field.key}")
                st.session_state.setdefault(key, self._kept.get(key, field.default))

    @property
    def _entries(self) -> list[tuple[int, str]]:
        """(id, name of the transformation) in order."""
        return st.session_state[self._key("")]

    def _key(self, path: str) -> str:
        return f"{self._form}:{OPS}:{path}"

    def put(self, ops: Sequence[Mapping[str, Any]]) -> None:
        """Replace the list by these: name and parameters of each."""
        st.session_state[self._key("")] = []
        for op in ops:
            self._append(op["name"], op)

    def read(self) -> list[dict[str, Any]]:
        """Name and parameters of each, in order."""
        read: list[dict[str, Any]] = []
        for entry, name in self._entries:
            values = {f.key: self._key(f"{entry}.{f.key}") for f in transformation_sections()[name].fields}
            self._kept.update({key: st.session_state[key] for key in values.values()})
            read.append({"name": name} | {parameter: st.session_state[key] for parameter, key in values.items()})
        return read

    def draw(self, errors: Mapping[str, str]) -> None:
        """The list, and a box to add to it."""
        st.caption("Each view of an image goes through these in order, with parameters drawn anew.")
        show_error(errors, OPS)
        for position, (entry, name) in enumerate(self._entries):
            self._draw_entry(position, entry, transformation_sections()[name], errors)
        st.selectbox(
            "Add a transformation",
            list(transformation_sections()),
            format_func=_name,
            index=None,
            placeholder="Add a transformation",
            label_visibility="collapsed",
            key=self._key("add"),
            on_change=self._add,
        )

    def _draw_entry(self, position: int, entry: int, section: FormSection, errors: Mapping[str, str]) -> None:
        here = f"{OPS}.{position}"
        wrong = any(path == here or path.startswith(f"{here}.") for path in errors)
        row, up, down, remove = st.columns([12, 1, 1, 1], gap="small", vertical_alignment="top")
        with row, st.expander(self._title(position, entry, section), expanded=wrong, key=self._key(f"{entry}:open")):
            st.caption(section.help.replace("``", "`"))
            show_error(errors, here)
            for fields in rows(section.fields):
                for column, field in zip(st.columns(3), fields, strict=False):
                    with column:
                        draw_field(field, self._key(f"{entry}.{field.key}"))
                        show_error(errors, f"{here}.{field.key}")
        self._button(up, "arrow_upward", f"Move {_name(section.path)} up", entry, -1, disabled=position == 0)
        last = position == len(self._entries) - 1
        self._button(down, "arrow_downward", f"Move {_name(section.path)} down", entry, 1, disabled=last)
        self._button(remove, "close", f"Remove {_name(section.path)}", entry, 0)

    def _title(self, position: int, entry: int, section: FormSection) -> str:
        values = {f.key: st.session_state[self._key(f"{entry}.{f.key}")] for f in section.fields}
        said = differences(section, values)
        return f"{position + 1}. {_name(section.path)}" + (f"  :gray[{' · '.join(said)}]" if said else "")

    def _button(self, place: Any, icon: str, label: str, entry: int, by: int, *, disabled: bool = False) -> None:
        place.button(
            f":material/{icon}:",
            key=self._key(f"{entry}:{icon}"),
            help=label,
            disabled=disabled,
            on_click=self._move if by else self._remove,
            args=(entry, by) if by else (entry,),
            type="tertiary",
        )

    def _add(self) -> None:
        name: str | None = st.session_state[self._key("add")]
        st.session_state[self._key("add")] = None
        if name:
            self._append(name, {})

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        counter = self._key("next")
        entry = st.session_state.get(counter, 0)
        st.session_state[counter] = entry + 1
        for field in transformation_sections()[name].fields:
            st.session_state[self._key(f"{entry}.{field.key}")] = values.get(field.key, field.default)
        st.session_state[self._key("")] = [*self._entries, (entry, name)]

    def _move(self, entry: int, by: int) -> None:
        order = list(self._entries)
        at = next(place for place, one in enumerate(order) if one[0] == entry)
        order.insert(at + by, order.pop(at))
        st.session_state[self._key("")] = order

    def _remove(self, entry: int) -> None:
        st.session_state[self._key("")] = [one for one in self._entries if one[0] != entry]


def _name(transformation: str) -> str:
    return transformation.replace("_", " ")
