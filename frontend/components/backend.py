"""The page's way to the backend: one client, and what is shown while the backend does not answer."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import streamlit as st

from backend.client import ApiError, BackendUnreachableError, Client, Connection
from frontend.components.text import plain_lines

_log = logging.getLogger(__name__)
RETRY_SECONDS = 2.0
_BODY = frozenset({"body", ""})
"""Fields that a person did not see."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


@st.cache_resource
def _connect(url: str, token: str) -> Client:
    return Client(url, token)


def client() -> Client:
    """The client that all sessions share. Raises BackendUnreachableError where there is no token yet."""
    connection = Connection()
    try:
        token = connection.find_token()
    except OSError as error:
        raise BackendUnreachableError(f"no token in {connection.home}") from error
    return _connect(connection.url, token)


def home() -> Path:
    """The data directory, as the settings name it."""
    return Connection().home


def guarded(draw: Callable[[], None]) -> bool:
    """Draw; False where the backend does not answer. That, or its refusal, becomes a sentence that says what to do."""
    try:
        draw()
    except BackendUnreachableError as error:
        _log.info("%s", error)
        st.warning(
            "**The backend does not answer.** Your runs are safe and go on. "
            "This page comes back by itself; if it does not, look at the terminal of `make up`.",
            icon=":material/cloud_off:",
        )
        return False
    except ApiError as error:
        refused(error)
        return error.status < 500
    return True


def page(draw: Callable[[], None]) -> None:
    """Draw a whole page, guarded; while the backend is away, try again every two seconds."""
    if not guarded(draw):
        _wait_for_backend()


def live(draw: Callable[[], None], *, seconds: float = 2.0, while_: bool = True) -> None:
    """Draw a part of a page, guarded, again every few seconds while ``while_`` holds."""

    def part() -> None:
        guarded(draw)

    st.fragment(part, run_every=seconds if while_ else None)()


def tried(action: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T | None:
    """The action's answer; None where the backend refuses it, which is then said in place."""
    try:
        return action(*arguments, **named)
    except ApiError as error:
        refused(error)
        return None


def do_all(actions: Iterable[Callable[[], object]]) -> None:
    """Do all and draw the page anew; what is refused is said for a while: a run may have gone on by then."""
    for act in actions:
        try:
            act()
        except ApiError as error:
            st.toast(plain_lines(error.problem.detail), icon=":material/error:")
    st.rerun()


def refused(error: ApiError) -> None:
    """Say what the backend has against it."""
    if error.status == 401:
        st.error("The backend refuses this page's token. Restart both with the same `SIMCLR_LAB_HOME`.")
    elif error.problem.errors:
        said = [one.message if one.field in _BODY else f"{one.field}: {one.message}" for one in error.problem.errors]
        st.error("\n\n".join(plain_lines(message[:1].upper() + message[1:]) for message in said))
    else:
        st.error(plain_lines(error.problem.detail))


@st.fragment(run_every=RETRY_SECONDS)
def _wait_for_backend() -> None:
    try:
        client().runs(limit=1)
    except (BackendUnreachableError, ApiError):
        return
    st.rerun()
