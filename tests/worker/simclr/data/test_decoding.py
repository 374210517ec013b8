"""Decoding: pictures and arrays of any kind, depth and size become uint8 of one size; equal values stay equal."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from worker.simclr.data import decoding
from worker.simclr.data.decoding import Look, PixelFormat, decode_image, look_at


def rgb(side=16, seed=0, size=None):
    height, width = size or (side, side)
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """A picture of slow waves, so that two ways to resize it can be compared."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(3 * x + 2 * y), np.cos(4 * y - x), np.sin(5 * x * y)]
    return (np.stack(waves, -1) * 100 + 128).astype(np.uint8)


def file_of(image, kind="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def npy_of(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def decoded(content, side=16, channels=3, **options):
    return decode_image(content, PixelFormat(side, channels, **options))


class TestPictures:
    @pytest.mark.parametrize(
        ("mode", "kind"), [("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("1", "PNG"), ("LA", "PNG")]
    )
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_kind_of_image_becomes_rgb_or_grey(self, mode, kind, channels):
        pixels = decoded(file_of(Image.fromarray(rgb(size=(30, 20))).convert(mode), kind), channels=channels)
        assert (pixels.shape, pixels.dtype) == ((channels, 16, 16), np.uint8)

    def test_grey_is_the_luma_of_bt_601(self):
        colours = rgb()
        luma = colours @ np.array([0.299, 0.587, 0.114])
        assert np.abs(decoded(file_of(colours), channels=1)[0] - luma).max() <= 1

    def test_a_grey_image_in_a_pack_of_rgb_has_three_equal_channels(self):
        grey = rgb()[..., 0]
        assert np.array_equal(decoded(file_of(grey)), np.stack([grey] * 3))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_what_is_transparent_becomes_white(self, channels):
        content = file_of(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
        assert (decoded(content, 8, channels) == 255).all()

    def test_an_image_is_turned_as_its_exif_says(self):
        image = Image.new("RGB", (8, 8), "black")
        image.paste("white", (0, 0, 8, 4))  # the upper half
        exif = Image.Exif()
        exif[0x0112] = 3  # turned by 180 degrees
        pixels = decoded(file_of(image, exif=exif), 8)
        assert (pixels[:, 4:] == 255).all()
        assert (pixels[:, :4] == 0).all()

    def test_the_middle_of_a_wide_image_is_kept(self):
        image = Image.new("RGB", (48, 16), "black")
        image.paste("white", (16, 0, 32, 16))
        assert (decoded(file_of(image)) == 255).all()

    @pytest.mark.parametrize("size", [(64, 64), (96, 60), (60, 96), (8, 8), (10, 14), (5, 5)])
    def test_resizing_is_torchvisions_of_the_shorter_side_and_the_centre_crop_up_and_down(self, size):
        source = smooth(*size)
        shorter = functional.resize(torch.from_numpy(source).permute(2, 0, 1), 30, InterpolationMode.BILINEAR)
        expected = functional.center_crop(shorter, [30, 30]).numpy()
        assert np.abs(decoded(file_of(source), 30).astype(int) - expected).max() <= 2

    def test_a_large_jpeg_decoded_at_a_fraction_of_its_size_looks_the_same(self):
        source = smooth(640, 480)
        quickly = decoded(file_of(source, "JPEG", quality=95), 32).astype(int)
        in_full = decoded(file_of(source), 32)
        assert np.abs(quickly - in_full).max() <= 6

    def test_a_picture_that_hides_postscript_is_not_opened(self):
        content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
        with pytest.raises(ValueError, match="not a readable image"):
            decoded(content)

    def test_too_many_pixels_are_refused(self, monkeypatch):
        monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
        for content in (file_of(rgb()), npy_of(rgb())):
            with pytest.raises(ValueError, match="megapixels"):
                decoded(content)


class TestDeepImages:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    @pytest.mark.parametrize("bits", [10, 12, 16])
    def test_16_bit_values_are_divided_by_one_number_for_all_images(self, kind, bits):
        top = 2**bits - 1
        values = np.random.default_rng(0).integers(0, top + 1, (8, 8)).astype(np.uint16)
        expected = np.rint(values / top * 255)
        assert np.array_equal(decoded(file_of(values, kind), 8, 1, bits=bits)[0], expected)
        dark = (values // 4).astype(np.uint16)
        assert np.array_equal(decoded(file_of(dark, kind), 8, 1, bits=bits)[0], np.rint(dark / top * 255))

    def test_they_are_resized_before_they_are_rounded(self):
        values = np.full((16, 16), round(10.45 * 257), np.uint16)
        values[::2, ::2] = round(11.49 * 257)  # the mean is 10.71 of 255; of rounded values it would be 10.25
        assert (decoded(file_of(values), 8, 1)[0, 1:-1, 1:-1] == 11).all()

    def test_values_that_are_no_16_bit_numbers_are_refused(self):
        content = file_of(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF")
        with pytest.raises(ValueError, match="no 16-bit numbers"):
            decoded(content)


class TestArrays:
    @pytest.mark.parametrize("channels", [1, 2, 5, 16])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_an_array_keeps_its_channels_and_values(self, channels, order):
        array = np.random.default_rng(0).integers(0, 256, (16, 16, channels), dtype=np.uint8)
        found = decoded(npy_of(np.asarray(array, order=order)), channels=channels)
        assert np.array_equal(found, array.transpose(2, 0, 1))

    def test_each_channel_is_resized_like_a_picture(self):
        array = np.dstack([smooth(40, 60), smooth(40, 60)[::-1]])
        found = decoded(npy_of(array), channels=6)
        assert np.array_equal(found[:3], decoded(file_of(array[..., :3])))
        assert np.array_equal(found[3:], decoded(file_of(array[..., 3:])))

    def test_16_bit_channels_are_scaled_like_16_bit_pictures(self):
        array = np.random.default_rng(0).integers(0, 4096, (8, 8, 2)).astype(np.uint16)
        found = decoded(npy_of(array), 8, 2, bits=12)
        assert np.array_equal(found, np.rint(array.transpose(2, 0, 1) / 4095 * 255))

    @pytest.mark.parametrize(
        ("array", "reason"),
        [
            (np.zeros((8, 8, 17), np.uint8), "up to 16"),
            (np.zeros((2, 8, 8, 3), np.uint8), "height x width x channels"),
            (np.zeros((8, 8, 3), np.float32), "type float32"),
            (np.zeros((8, 8, 4), np.uint8), "4 channels instead of 3"),
        ],
    )
    def test_what_is_no_image_of_this_pack_says_why(self, array, reason):
        with pytest.raises(ValueError, match=reason):
            decoded(npy_of(array))

    def test_a_picture_among_arrays_of_five_channels_is_refused(self):
        with pytest.raises(ValueError, match="instead of 5"):
            decoded(file_of(rgb()), channels=5)

    def test_no_object_is_ever_unpickled(self):
        class Bomb:
            def __reduce__(self):
                return pytest.fail, ("it was unpickled",)

        with pytest.raises(ValueError, match="type object"):
            decoded(npy_of(np.array([[Bomb()]]), allow_pickle=True))

    def test_a_header_that_promises_more_than_there_is_does_no_harm(self):
        content = npy_of(np.zeros((8, 8), np.uint8)).replace(b"(8, 8)", b"(9999, 9999)")
        with pytest.raises(ValueError, match="not a readable image"):
            decoded(content)


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (file_of(rgb()), Look(3)),
        (file_of(rgb()[..., 0]), Look(1)),
        (file_of(rgb(), "JPEG"), Look(3)),
        (file_of(np.full((8, 8), 700, np.uint16)), Look(1, 700)),
        (npy_of(rgb()[..., :2]), Look(2)),
        (npy_of(np.full((8, 8, 4), 9, np.uint16)), Look(4, 9)),
        (npy_of(rgb()[..., 0]), Look(1)),
    ],
)
def test_a_look_tells_channels_and_the_largest_deep_value(content, look):
    assert look_at(content) == look
