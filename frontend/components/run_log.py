"""The log of a run: searched, filtered, and followed while it goes on."""

from collections.abc import Sequence

import streamlit as st

from backend.contracts.runs import LogLine, RunRead
from frontend.components import backend, words
from frontend.components.text import visible

_SHOWN = 500
_HIGH = 12
"""More lines than this scroll."""
_LEVELS = {"All": "", "Warnings": "warning", "Errors": "error"}
"""The least level of the lines shown, as the backend names it."""


def log(run: RunRead) -> None:
    """The log, with its search box."""
    with st.expander("Log", expanded=run.state in ("running", "failed"), key="run:log"):
        _searched(run)


@st.fragment
def _searched(run: RunRead) -> None:
    """The boxes stand outside what refreshes, so they keep focus and content."""
    text, level = st.columns([3, 2], vertical_alignment="bottom")
    search = text.text_input("Search the log", type="search", key="log", bind="query-params", max_chars=200)
    chosen = level.segmented_control(
        "Level", list(_LEVELS), default="All", required=True, key="level", bind="query-params"
    )
    backend.live(lambda: _lines(run, (search or "").strip(), _LEVELS[chosen or "All"]), while_=not words.has_ended(run))


def _lines(run: RunRead, search: str, level: str) -> None:
    lines = backend.client().logs(run.id, limit=_SHOWN, search=search, level=level)
    if not lines:
        st.caption("No line is like that." if search or level else "Nothing yet.")
        return
    with st.container(height=320 if len(lines) > _HIGH else "content", autoscroll=True, border=False):
        st.code(log_text(lines), language=None, wrap_lines=True)
    bound = f"The newest {_SHOWN} lines; search finds older ones. " if len(lines) == _SHOWN else ""
    st.caption(f"{bound}Times are UTC; `output` is what the training process printed.")


def log_text(lines: Sequence[LogLine]) -> str:
    """A line each, oldest first: time, what kind it is, message. A heading begins each attempt where there are several."""
    several = len({line.attempt for line in lines}) > 1
    shown: list[str] = []
    attempt = None
    for line in lines:
        if several and line.attempt != attempt:
            shown.append(f"attempt {line.attempt}".center(30, "-"))
        attempt = line.attempt
        shown.append(f"{line.time:%H:%M:%S} {_kind(line)}{visible(line.message)}")
    return "\n".join(shown)


def _kind(line: LogLine) -> str:
    if line.level != "info":
        return f"{line.level.upper()} "
    return "output " if line.source == "output" else ""
