"""Names: whatever is let through stays inside the folder, on a system with slashes and on one with backslashes."""

import posixpath
import warnings
from ntpath import normpath as windows_normpath
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.simclr.data.names import check_name
from worker.simclr.data.refusal import ImportRefusedError

ODD = st.sampled_from(
    ["..", ".", "/", "\\", "C:", "c:", "con", "NUL", "aux", " ", "a", "b.png", "~", "\0", "\ud800", "é"]
)
NAMES = st.one_of(st.text(max_size=30), st.lists(ODD, max_size=8).map("".join), st.lists(ODD, max_size=8).map("/".join))


@given(name=NAMES)
def test_what_is_let_through_stays_inside(name):
    try:
        check_name(name)
    except ImportRefusedError as error:
        str(error).encode()  # it can be shown
        return
    name.encode()
    assert posixpath.normpath(PurePosixPath("/root") / name).startswith("/root")
    windows = PureWindowsPath("R:\\root") / name
    assert windows_normpath(windows).startswith("R:\\root")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a later Python: the name moves
        assert not windows.is_reserved()


@pytest.mark.parametrize("name", ["a\u202egnp.exe", "line\nbreak.png"])
def test_what_cannot_be_seen_is_shown_in_an_error(name):
    with pytest.raises(ImportRefusedError) as caught:
        check_name(f"../{name}")
    assert str(caught.value).isprintable()
