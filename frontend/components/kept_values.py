"""Values of a form's widgets, kept in the session wherever the person goes."""

from collections.abc import Mapping
from typing import Any

import streamlit as st


class KeptValues:
    """Form values by path.

    Streamlit drops a widget's value once the widget is not drawn: on another page, or in a section that is switched off.
    So the values are kept apart from the widgets, and a widget gets its value right before it is drawn. (Set earlier, the
    value would stay behind in the session and come back later in place of a newer one.)
    """

    def __init__(self, form: str, defaults: Mapping[str, Any]) -> None:
        self._form = form
        self._values: dict[str, Any] = st.session_state.setdefault(f"{form}:kept", {})
        for path, default in defaults.items():
            self._values.setdefault(path, default)

    def key_of(self, path: str) -> str:
        """The key of the widget in the session."""
        return f"{self._form}:{path}"

    def put(self, values: Mapping[str, Any]) -> None:
        """Set values; before their widgets are drawn."""
        self._values.update(values)
        for path in values:
            if self.key_of(path) in st.session_state:
                del st.session_state[self.key_of(path)]

    def read(self) -> dict[str, Any]:
        """Every value by path."""
        for path in self._values:
            self._values[path] = st.session_state.get(self.key_of(path), self._values[path])
        return dict(self._values)

    def ready(self, path: str) -> Any:
        """Give the widget that is drawn next its value; the value."""
        return st.session_state.setdefault(self.key_of(path), self._values[path])
