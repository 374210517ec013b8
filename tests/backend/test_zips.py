"""The first look at a zip: refused with a reason, quickly, whatever its bytes are."""

import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.services import zips
from backend.services.errors import InvalidError
from backend.services.zips import check_zip
from tests.backend.zips import GOOD, zip_of


def check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    check_zip(path, field="body")


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InvalidError) as caught:
        check(tmp_path, content)
    return str(caught.value)


def directory_of(count: int) -> bytes:
    """A zip of nothing but a directory; its end says that it has one entry."""
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    listed = entry * count
    return listed + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(listed), 0, 0)


def test_a_good_one_passes(tmp_path: Path) -> None:
    check(tmp_path, GOOD)


@pytest.mark.parametrize("name", ["..\\up.png", "a\0b.png", "\\\\server\\1.png", "C:1.png"])
def test_names_that_lead_outside(tmp_path: Path, name: str) -> None:
    harmless = name.replace("\0", "_")
    content = zip_of({harmless: b"x"}).replace(harmless.encode(), name.encode())
    assert "leads outside" in refusal(tmp_path, content)


def test_a_symbolic_link(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = 0o120777 << 16
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refusal(tmp_path, path.read_bytes())


def test_too_many_files_are_refused_before_the_directory_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_: pytest.fail("it was parsed"))
    monkeypatch.setattr(zips, "MAX_ENTRIES", 20_000)
    assert "more than 20,000 files" in refusal(tmp_path, directory_of(20_001))
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 1 << 19)
    assert "more than 20,000 files" in refusal(tmp_path, directory_of(15_000))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    noise=st.binary(max_size=100),
)
def test_any_bytes_are_refused_or_pass(tmp_path: Path, changes: list[tuple[int, int]], noise: bytes) -> None:
    content = bytearray(zip_of({"cats/1.png": b"x", "dogs/1.png": b"y"}))
    for place, value in changes:
        content[place % len(content)] = value
    for candidate in (bytes(content), noise, noise + content, bytes(content) + noise):
        try:
            check(tmp_path, candidate)
        except InvalidError as error:
            assert str(error)  # noqa: PT017
