"""Zips made by hand: what leads outside, lies about itself or promises too much is refused, whatever its bytes are."""

import struct
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.simclr.data.test_importing import flat_files, imported, make_zip, picture
from worker.simclr.data import zips
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.sources import list_entries
from worker.simclr.data.zips import open_zip


class Member:
    """One file of a zip made by hand; what its headers say may differ from what is there."""

    def __init__(self, name, content=b"", **said):
        self.name = name if isinstance(name, bytes) else name.encode()
        self.packed = zlib.compress(content, 9)[2:-4] if said.get("method", 8) == 8 else content
        self.crc = said.get("crc", zlib.crc32(content))
        self.size = said.get("size", len(content))
        self.packed_size = said.get("packed_size", len(self.packed))
        self.method = said.get("method", 8)
        self.flags = said.get("flags", 0x800)
        self.attributes = said.get("attributes", 0o100644 << 16)
        self.offset = said.get("offset")
        self.zip64 = said.get("zip64", b"")

    def local(self):
        head = (20, self.flags, self.method, 0, 0, self.crc, self.packed_size, self.size, len(self.name), 0)
        return b"PK\3\4" + struct.pack("<5H3I2H", *head) + self.name + self.packed

    def central(self, offset):
        sizes = (self.crc, self.packed_size, self.size, len(self.name), len(self.zip64), 0, 0, 0, self.attributes)
        head = struct.pack("<6H3I5HI", 0x314, 20, self.flags, self.method, 0, 0, *sizes)
        return b"PK\1\2" + head + struct.pack("<I", offset) + self.name + self.zip64


def by_hand(*members, entries=None, directory_size=None, directory=None):
    """The bytes of a zip; its end may say other counts and sizes."""
    content, listed = b"", b""
    for member in members:
        listed += member.central(len(content) if member.offset is None else member.offset)
        content += member.local()
    listed = listed if directory is None else directory
    count = len(members) if entries is None else entries
    size = len(listed) if directory_size is None else directory_size
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, count & 0xFFFF, count & 0xFFFF, size, len(content), 0)
    return content + listed + end


def opened(tmp_path, content):
    """Names and contents (or the reason why there is none), as an import reads them."""
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with open_zip(path) as source:
        return {name: read(source, name) for name in source.names()}


def read(source, name):
    try:
        return source.read(name)
    except (ValueError, OSError) as error:
        return str(error)


def test_zips_made_by_hand_are_zips(tmp_path):
    assert opened(tmp_path, by_hand(Member("a/1.png", b"hello" * 99), Member("b", b"stored", method=0))) == {
        "a/1.png": b"hello" * 99,
        "b": b"stored",
    }


@pytest.mark.parametrize(
    "name",
    [
        "../1.png", "a/../../1.png", "/etc/1.png", "//server/share/1.png", "C:/1.png", "c:1.png", "a\\..\\1.png",
        "\\\\server\\1.png", b"a\0b.png", b"cat/1.png\0.exe", "a/CON/1.png", "nul.png", "aux", "COM1.png", "lpt9 .png",
        "con:x.png", "cat./1.png", "cat /1.png", "cat/1.png.", ".. /1.png", "x" * 2000, ".../1.png", "",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_hide_what_they_are(tmp_path, name):
    with pytest.raises(ImportRefusedError, match="forbidden name"):
        opened(tmp_path, by_hand(Member("a/1.png", b"x"), Member(name, b"x")))


@pytest.mark.parametrize(
    "name", ["./a/1.png", "a//1.png", "Ä/ö.png", "10:30:05.png", "con men/1.png", "a/..b.png", "犬/1.png"]
)
def test_names_that_look_odd_and_lead_nowhere(tmp_path, name):
    assert list(opened(tmp_path, by_hand(Member(name, b"x")))) == [name]


def test_letters_of_either_case_are_two_classes_as_nothing_is_unpacked_to_a_disk(tmp_path):
    assert len(opened(tmp_path, by_hand(Member("A/1.png", b"x"), Member("a/1.png", b"y")))) == 2


@pytest.mark.parametrize("second", ["caf\u00e9/1.png", "cafe\u0301/1.png"])
def test_two_files_of_one_name_whatever_its_unicode_form(tmp_path, second):
    with pytest.raises(ImportRefusedError, match="two files of the name"):
        opened(tmp_path, by_hand(Member("caf\u00e9/1.png", b"x"), Member(second, b"y")))


def test_one_class_written_in_two_unicode_forms_is_one_class(tmp_path):
    files = {"train/caf\u00e9/1.png": picture(1), "train/dog/1.png": picture(2), "test/cafe\u0301/2.png": picture(3)}
    assert imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs").classes == ("caf\u00e9", "dog")


@pytest.mark.parametrize("mode", [0o120777, 0o120000])
def test_a_link_whatever_it_is_called(tmp_path, mode):
    with pytest.raises(ImportRefusedError, match="symbolic link"):
        opened(tmp_path, by_hand(Member("a/1.png", b"/etc/passwd", attributes=mode << 16)))


def test_no_more_comes_out_than_the_directory_says(tmp_path):
    found = opened(tmp_path, by_hand(Member("liar.png", bytes(100 << 20), size=10)))
    assert "cannot be unpacked" in found["liar.png"]


def test_less_than_the_directory_says(tmp_path):
    found = opened(tmp_path, by_hand(Member("liar.png", b"short", size=100 << 20, packed_size=7)))
    assert isinstance(found["liar.png"], str)


def test_a_file_that_is_too_large_or_packed_too_well(tmp_path, monkeypatch):
    found = opened(tmp_path, by_hand(Member("bomb.png", bytes(50 << 20))))
    assert found["bomb.png"] == "suspiciously compressed"
    monkeypatch.setattr(zips, "MAX_FILE_BYTES", 1 << 20)
    found = opened(tmp_path, by_hand(Member("large.png", bytes(2 << 20), method=0)))
    assert found["large.png"] == "larger than 1 MiB"


def test_more_in_all_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MAX_TOTAL_BYTES", 1 << 30)
    members = [Member(f"{number}.png", b"x", size=(1 << 29) + 1) for number in range(2)]
    with pytest.raises(ImportRefusedError, match="more than 1 GiB when unpacked"):
        opened(tmp_path, by_hand(*members))


def test_entries_that_overlap(tmp_path):
    """The better zip bomb: many names for one large file."""
    kernel = Member("0.png", bytes(range(256)) * 100, method=0)
    others = [Member(f"{n}.png", bytes(range(256)) * 100, method=0, offset=0) for n in range(1, 50)]
    for other in others:
        other.local = lambda: b""
    with pytest.raises(ImportRefusedError, match="overlap"):
        opened(tmp_path, by_hand(kernel, *others))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_can_be_unpacked_only_whole_is_not(tmp_path, method):
    path = make_zip(tmp_path / "b.zip", {"bomb.png": bytes(20 << 20)}, compression=method)
    found = opened(tmp_path, path.read_bytes())
    assert isinstance(found["bomb.png"], str)


@pytest.mark.parametrize("said", [{"method": 99}, {"method": 9}, {"flags": 1}, {"flags": 0x20}, {"flags": 0x40}])
def test_what_zipfile_cannot_read_is_a_broken_file(tmp_path, said):
    assert isinstance(opened(tmp_path, by_hand(Member("a.png", b"x", **said)))["a.png"], str)


def test_zips_inside_are_no_images_and_not_looked_into(tmp_path):
    inner = by_hand(Member("cat/9.png", picture(9)))
    files = flat_files() | {"more.zip": inner, "cat/more.zip": inner}
    pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
    assert (pack.train_images + pack.test_images, pack.broken) == (10, ())


@pytest.mark.parametrize(
    "sizes",
    [(1 << 62, 1 << 62), ((1 << 64) - 1, 1), (1, (1 << 64) - 1)],
)
def test_absurd_sizes_of_zip64(tmp_path, sizes):
    extra = struct.pack("<HHQQ", 1, 16, *sizes)
    member = Member("a.png", b"x", size=0xFFFFFFFF, packed_size=0xFFFFFFFF, zip64=extra)
    with pytest.raises(ImportRefusedError):
        opened(tmp_path, by_hand(member))


@pytest.mark.parametrize(
    "end", [b"PK\6\6" + b"\xff" * 52, b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 9, 9, 1 << 60, 1 << 60)]
)
def test_absurd_ends_of_zip64(tmp_path, end):
    locator = b"PK\6\7" + struct.pack("<IQI", 0, 0, 1)
    with pytest.raises(ImportRefusedError):
        opened(tmp_path, end + locator + by_hand())


def test_a_directory_of_ten_million_files_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MAX_ENTRIES", 20_000)
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_: pytest.fail("it was parsed"))
    directory = Member("1.png").central(0) * 20_001
    with pytest.raises(ImportRefusedError, match="more than 20,000 files"):
        opened(tmp_path, by_hand(entries=1, directory=directory))


def test_a_directory_of_many_bytes_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 1 << 20)
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(ImportRefusedError, match="directory is larger than 1 MiB"):
        opened(tmp_path, by_hand(entries=1, directory=bytes(2 << 20)))


GOOD = by_hand(Member("a/1.png", b"hello" * 50), Member("b/2.png", b"x" * 30, method=0), Member("b/", b"", method=0))
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_it_is_refused_or_read(tmp_path, content):
    try:
        opened(tmp_path, content)
        with open_zip(tmp_path / "a.zip") as source:
            list_entries(source)
    except ImportRefusedError as error:
        assert str(error)  # noqa: PT017


@quick
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(tmp_path, content):
    check_it_is_refused_or_read(tmp_path, content)
    check_it_is_refused_or_read(tmp_path, content + by_hand())


@quick
@given(
    changes=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8), cut=st.integers(0, 60)
)
def test_any_damage_to_a_zip_is_refused_or_read(tmp_path, changes, cut):
    content = bytearray(GOOD)
    for place, value in changes:
        content[place] = value
    check_it_is_refused_or_read(tmp_path, bytes(content[: len(content) - cut] if cut < 20 else content))
