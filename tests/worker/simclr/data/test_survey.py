"""The survey: which channels a pack gets, and one meaning of 16-bit values for the whole dataset."""

import numpy as np
import pytest

from tests.worker.simclr.data.test_decoding import file_of, npy_of, rgb
from tests.worker.simclr.data.test_importing import imported, make_zip
from worker.simclr.data.decoders import Decoders
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import load_pack
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.survey import survey

COLOUR, GREY = file_of(rgb()), file_of(rgb()[..., 0])


def deep(largest):
    return file_of(np.array([[0, largest]], np.uint16))


class Files:
    def __init__(self, *contents):
        self.contents = contents
        self.opened = []

    def names(self):
        return [str(number) for number in range(len(self.contents))]

    def read(self, name):
        self.opened.append(name)
        return self.contents[int(name)]

    def notes(self):
        return []


@pytest.fixture(scope="module")
def decoders():
    with Decoders(1) as started:
        yield started


def surveyed(decoders, *contents, channels="auto"):
    source = Files(*contents)
    found = survey(source, source.names(), channels, decoders, on_progress=lambda _: None)
    return found.channels, found.bits


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ((GREY, GREY), (1, 8)),
        ((GREY, b"broken", COLOUR), (3, 16)),
        ((COLOUR, GREY), (3, 16)),
        ((deep(4095), deep(700)), (1, 12)),
        ((deep(4096), GREY), (1, 13)),
        ((deep(200),), (1, 8)),
        ((deep(4095), COLOUR), (3, 16)),
        ((COLOUR, deep(4095)), (3, 16)),
        ((npy_of(np.zeros((4, 4, 5), np.uint8)),), (5, 16)),
        ((npy_of(np.full((4, 4, 5), 1023, np.uint16)), npy_of(np.zeros((4, 4, 5), np.uint16))), (5, 10)),
        ((b"broken",), (1, 8)),
    ],
)
def test_channels_and_bits_follow_from_all_files_whatever_their_order(decoders, contents, expected):
    assert surveyed(decoders, *contents) == expected


@pytest.mark.parametrize("asked", [1, 3])
def test_the_channels_asked_for_are_taken(decoders, asked):
    assert surveyed(decoders, GREY, COLOUR, channels=asked)[0] == asked
    assert surveyed(decoders, GREY, channels=asked)[0] == asked


def test_a_colour_image_ends_the_look(decoders):
    source = Files(COLOUR, *[GREY] * 2000)
    survey(source, source.names(), "auto", decoders, on_progress=lambda _: None)
    assert len(source.opened) < 1000


def test_grey_images_become_a_pack_of_one_channel_and_the_import_says_so(tmp_path):
    files = {f"{label}/{n}.png": file_of(rgb(seed=n)[..., 0]) for label in ("a", "b") for n in range(3)}
    pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
    assert pack.channels == 1
    assert load_pack(pack.directory, verify=True).train.pixels.shape[1:] == (1, 16, 16)
    assert pack.notes == ("All images are greyscale: one channel.",)
    assert len(pack.mean) == len(pack.std) == 1


def test_arrays_of_five_channels_become_a_pack_of_five_and_strays_are_named(tmp_path):
    arrays = [np.random.default_rng(n).integers(0, 256, (16, 16, 5), dtype=np.uint8) for n in range(3)]
    files = {f"{label}/{n}.npy": npy_of(array) for label in ("a", "b") for n, array in enumerate(arrays)}
    files |= {"b/stray.png": COLOUR, "b/four.npy": npy_of(arrays[0][..., :4])}
    pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
    assert pack.channels == 5
    assert dict(pack.broken) == {
        "b/stray.png": "has 1 or 3 channels instead of 5",
        "b/four.npy": "has 4 channels instead of 5",
    }
    found = {image.numpy().tobytes() for image in load_pack(pack.directory).train.pixels}
    assert found <= {array.transpose(2, 0, 1).tobytes() for array in arrays}


def test_three_channels_of_arrays_of_five_are_refused(tmp_path):
    files = {f"{label}/{n}.npy": npy_of(np.zeros((4, 4, 5), np.uint8)) for label in ("a", "b") for n in range(2)}
    source = make_zip(tmp_path / "a.zip", files)
    with pytest.raises(ImportRefusedError, match="5 channels, not 3"):
        import_images(source, tmp_path / "packs", image_size=4, test_share=0.2, channels=3, on_progress=lambda _: None)


def test_equal_16_bit_values_are_equal_in_every_image_of_the_pack(tmp_path):
    """Stretching each image by itself would make the dim one as bright as the others."""
    files = {
        f"{label}/{n}.png": file_of(np.full((16, 16), value, np.uint16))
        for label in ("a", "b")
        for n, value in enumerate((100, 2000, 4000))
    }
    pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
    dataset = load_pack(pack.directory)
    values = {int(v) for split in (dataset.train, dataset.test) for v in split.pixels.unique()}
    assert values == {round(value / 4095 * 255) for value in (100, 2000, 4000)}
    assert pack.notes[-1] == "The 16-bit values fill 12 bits: all are divided by 16.06."
