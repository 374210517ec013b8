"""The ordered list of transformations: add, remove, move, and the parameters of each; one may stand there twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from frontend.components.config_fields import OPS, FormSection, transformation_sections
from frontend.components.config_values import differences
from frontend.components.fields import draw_fields, show_error
from frontend.components.kept_values import KeptValues

_ORDER = "order"


class TransformationList:
    """A list in the session. Each entry has an id, under which its parameters are kept wherever it stands."""

    def __init__(self, form: str, default: Sequence[Mapping[str, Any]]) -> None:
        self._kept = KeptValues(f"{form}:{OPS}", {})
        if self._kept.key_of(_ORDER) not in st.session_state:
            self.put(default)

    @property
    def _entries(self) -> list[tuple[int, str]]:
        """(id, name of the transformation) in order."""
        return st.session_state.get(self._kept.key_of(_ORDER), [])

    @_entries.setter
    def _entries(self, entries: list[tuple[int, str]]) -> None:
        st.session_state[self._kept.key_of(_ORDER)] = entries

    def put(self, ops: Sequence[Mapping[str, Any]]) -> None:
        """Replace the list by these: name and parameters of each."""
        self._entries = []
        for op in ops:
            self._append(op["name"], op)

    def read(self) -> list[dict[str, Any]]:
        """Name and parameters of each, in order."""
        values = self._kept.read()
        return [
            {"name": name} | {f.key: values[f"{entry}.{f.key}"] for f in transformation_sections()[name].fields}
            for entry, name in self._entries
        ]

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
            key=self._kept.key_of("add"),
            on_change=self._add,
        )

    def _draw_entry(self, position: int, entry: int, section: FormSection, errors: Mapping[str, str]) -> None:
        here = f"{OPS}.{position}"
        own = {
            f"{entry}{path.removeprefix(here)}": said
            for path, said in errors.items()
            if f"{path}.".startswith(f"{here}.")
        }
        row, up, down, remove = st.columns([12, 1, 1, 1], gap="small", vertical_alignment="top")
        open_ = self._kept.key_of(f"{entry}:open")
        with row, st.expander(self._title(position, entry, section), expanded=bool(own), key=open_):
            st.caption(section.help.replace("``", "`"))
            show_error(own, str(entry))
            draw_fields(section.fields, self._kept, own, below=f"{entry}.")
        name, last = _name(section.path), position == len(self._entries) - 1
        self._button(up, "arrow_upward", f"Move {name} up", entry, -1, disabled=position == 0)
        self._button(down, "arrow_downward", f"Move {name} down", entry, 1, disabled=last)
        self._button(remove, "close", f"Remove {name}", entry, 0)

    def _title(self, position: int, entry: int, section: FormSection) -> str:
        values = self._kept.read()
        said = differences(section, {f.key: values[f"{entry}.{f.key}"] for f in section.fields})
        return f"{position + 1}. {_name(section.path)}" + (f"  :gray[{' · '.join(said)}]" if said else "")

    def _button(self, place: Any, icon: str, label: str, entry: int, by: int, *, disabled: bool = False) -> None:
        place.button(
            f":material/{icon}:",
            key=self._kept.key_of(f"{entry}:{icon}"),
            help=label,
            disabled=disabled,
            on_click=self._move if by else self._remove,
            args=(entry, by) if by else (entry,),
            type="tertiary",
        )

    def _add(self) -> None:
        name: str | None = st.session_state[self._kept.key_of("add")]
        st.session_state[self._kept.key_of("add")] = None
        if name:
            self._append(name, {})

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        counter = self._kept.key_of("next")
        entry: int = st.session_state.get(counter, 0)
        st.session_state[counter] = entry + 1
        fields = transformation_sections()[name].fields
        self._kept.put({f"{entry}.{f.key}": values.get(f.key, f.default) for f in fields})
        self._entries = [*self._entries, (entry, name)]

    def _move(self, entry: int, by: int) -> None:
        order = list(self._entries)
        at = next(place for place, one in enumerate(order) if one[0] == entry)
        order.insert(at + by, order.pop(at))
        self._entries = order

    def _remove(self, entry: int) -> None:
        self._entries = [one for one in self._entries if one[0] != entry]


def _name(transformation: str) -> str:
    return transformation.replace("_", " ")
