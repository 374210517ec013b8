"""Images that are traps cost themselves only: the process that decodes is limited, and another takes its place."""

import io
import os
import signal
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.worker.simclr.data.test_decoding import file_of, rgb
from tests.worker.simclr.data.test_importing import flat_files, imported, make_zip
from worker.simclr.data import decoders as module
from worker.simclr.data.decoder import MEMORY_BYTES
from worker.simclr.data.decoders import Decoders
from worker.simclr.data.decoding import PixelFormat, decode_image
from worker.simclr.data.refusal import ImportRefusedError

FORM = PixelFormat(16, 3)
GOOD = file_of(rgb())
MODERATE = 600 << 20
"""Bytes of memory that no trap may exceed: far below what it promises."""


@pytest.fixture(scope="module")
def decoders():
    with Decoders(1) as started:
        yield started


@pytest.fixture
def single():
    """One process of its own."""
    with Decoders(1) as started:
        yield started


def process_of(decoders):
    process = decoders._idle.get()
    decoders._idle.put(process)
    return process


def pid_of(decoders):
    return process_of(decoders)._process.pid


def memory_of(decoders):
    return psutil.Process(pid_of(decoders)).memory_info().rss


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *, depth=8, colour=2, extra=b"", data=b""):
    """A PNG with any header, and any content."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(data, 1)) + chunk(b"IEND", b"")


def frames(kind, count):
    first, *rest = [Image.new("RGB", (16, 16), (number % 256, 0, 0)) for number in range(count)]
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=rest)
    return file.getvalue()


def is_pixels(answer):
    return not isinstance(answer, str) and answer.shape == (3, 16, 16)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_every_kind_of_file_is_decoded_as_it_would_be_here(decoders, kind):
    content = file_of(rgb(), kind)
    (answer,) = decoders.decode([content], FORM)
    assert np.array_equal(answer, decode_image(content, FORM))


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX", "TGA", "ICO", "SGI", "DDS", "MSP"])
def test_no_other_format_is_read_whatever_the_file_is_called(decoders, kind):
    mode = {"MSP": "1"}.get(kind, "RGB")
    content = file_of(Image.fromarray(rgb()).convert(mode), kind)
    assert decoders.decode([content], FORM) == ["not a readable image"]


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (png(60_000, 60_000), "more than 100 megapixels"),
        (png(60_000, 60_000, depth=16, colour=0), "more than 100 megapixels"),
        (png(2_147_483_647, 2_147_483_647), "more than 100 megapixels"),
        (png(9_999, 9_999, data=bytes(1000)), "not a readable image"),
        (file_of(Image.new("RGB", (1, 1)), "GIF").replace(b"\x01\x00\x01\x00", b"\xff\xff\xff\xff", 1), "megapixels"),
    ],
    ids=["large", "large and deep", "largest header", "promises much", "gif"],
)
def test_a_decompression_bomb_is_a_broken_image_and_costs_no_memory(decoders, bomb, reason):
    bad, good = decoders.decode([bomb, GOOD], FORM)
    assert reason in bad
    assert is_pixels(good)
    assert decoders.look([bomb, GOOD])[1].channels == 3
    assert memory_of(decoders) < MODERATE


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_many_frames_the_first_is_taken(decoders, kind):
    (answer,) = decoders.decode([frames(kind, 1000)], FORM)
    assert is_pixels(answer)
    assert answer[0].max() <= 8


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_chunk_that_unpacks_to_much_does_no_harm(decoders, kind):
    head = {b"zTXt": b"note\0\0", b"iTXt": b"note\0\1\0\0\0", b"iCCP": b"profile\0\0"}[kind]
    bomb = png(16, 16, extra=chunk(kind, head + zlib.compress(bytes(200 << 20), 1)), data=bytes(16 * 49))
    assert is_pixels(decoders.decode([bomb, GOOD], FORM)[1])
    assert memory_of(decoders) < MODERATE


def test_more_data_than_the_header_says_is_not_kept(decoders):
    bomb = png(16, 16, data=bytes(200 << 20))
    assert is_pixels(decoders.decode([bomb, GOOD], FORM)[1])
    assert memory_of(decoders) < MODERATE


def test_too_little_memory_is_the_reason_and_not_the_end(monkeypatch):
    def exhaust(*_):
        raise MemoryError

    monkeypatch.setattr("worker.simclr.data.decoding._fit_picture", exhaust)
    with pytest.raises(ValueError, match="too much memory"):
        decode_image(GOOD, FORM)


@pytest.mark.skipif(not Path("/proc").exists(), reason="limits are read from /proc")
def test_memory_files_and_cores_are_limited(decoders):
    lines = Path(f"/proc/{pid_of(decoders)}/limits").read_text().splitlines()[1:]
    hard = {line[:25].strip(): line[26:].split()[1] for line in lines}
    assert int(hard["Max address space"]) == MEMORY_BYTES
    assert [hard[name] for name in ("Max open files", "Max file size", "Max core file size")] == ["0", "0", "0"]


@pytest.mark.skipif(not Path("/proc").exists(), reason="they are read from /proc")
def test_it_is_given_no_secret_and_loads_no_torch(monkeypatch):
    monkeypatch.setenv("SIMCLR_LAB_TOKEN", "a-secret")
    with Decoders(1) as started:
        pid = pid_of(started)
        assert "a-secret" not in Path(f"/proc/{pid}/environ").read_text()
        assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()


def test_a_crash_costs_one_image(single):
    pid = pid_of(single)
    os.kill(pid, signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.extend(single.decode([GOOD] * 5, FORM)))
    asking.start()
    while single._idle.qsize():
        pass  # until it is asked
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)
    asking.join()
    assert "crash" in answers[0]
    assert all(map(is_pixels, answers[1:]))
    assert not psutil.pid_exists(pid)


def test_standing_still_costs_one_image(single):
    pid = pid_of(single)
    process_of(single)._socket.settimeout(0.2)
    os.kill(pid, signal.SIGSTOP)
    first, *others = single.decode([GOOD] * 3, FORM)
    assert "could not be decoded within" in first
    assert all(map(is_pixels, others))
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("payload", [b"short", b"{}", b'{"channels": 17}', b'{"channels": 1, "largest": 70000}'])
def test_an_answer_that_cannot_be_is_not_believed(single, payload):
    process_of(single)._answers = io.BytesIO(struct.pack("<?I", True, len(payload)) + payload)
    first, second = single.look([GOOD, GOOD])
    assert "nonsense" in first
    assert second.channels == 3


def test_an_answer_without_end_is_not_waited_for(single):
    process_of(single)._answers = io.BytesIO(struct.pack("<?I", True, 1 << 31))
    assert "nonsense" in single.decode([GOOD], FORM)[0]


def test_an_import_of_nothing_but_traps_is_refused_in_the_end(single, monkeypatch):
    monkeypatch.setattr(module, "MAX_LOST", 1)

    def lose_one():
        process_of(single)._answers = io.BytesIO(struct.pack("<?I", True, 1 << 31))
        return single.decode([GOOD], FORM)

    lose_one()
    with pytest.raises(ImportRefusedError, match="More than 1 images could not be decoded"):
        lose_one()


def test_the_processes_end_with_the_import(tmp_path):
    before = set(psutil.Process().children())
    imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")
    assert set(psutil.Process().children()) <= before


def test_a_bomb_in_a_zip_is_named_and_the_others_imported(tmp_path):
    files = flat_files() | {"cat/bomb.png": png(60_000, 60_000), "dog/text.png": png(16, 16)}
    pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
    assert pack.broken == (("cat/bomb.png", "more than 100 megapixels"), ("dog/text.png", "not a readable image"))
    assert pack.train_images + pack.test_images == 10
