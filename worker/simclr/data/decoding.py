"""From a file to pixels: pictures of any kind, and NumPy arrays with up to 16 channels, as uint8 of one size.

Every image is turned as its EXIF says, its shorter side is resized to the side of the pack (bilinear, antialiased where
it shrinks), and the middle square is kept. 8-bit values stay as they are. 16-bit values are divided by one number for
the whole dataset, which follows from the bits that its largest value fills: contrast within an image is not stretched,
so that equal values stay equal in all images.
"""

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from PIL import Image, ImageOps

MAX_PIXELS = 100_000_000
MAX_CHANNELS = 16
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""No others, whatever a file contains: Pillow hands PostScript to a program of the system."""
_NPY = b"\x93NUMPY"

Values = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class PixelFormat:
    """What a pack asks of every image: its side in pixels, its channels, and the bits that its 16-bit values fill."""

    image_size: int
    channels: int
    bits: int = 16


@dataclass(frozen=True)
class Look:
    """What a file says of itself: its channels, and the largest of its values where they have 16 bits (else None)."""

    channels: int
    largest: int | None = None


def look_at(content: bytes) -> Look:
    """Look at a file, no further than needed. Raises ValueError with the reason where it cannot be read."""
    with _reasons():
        if content.startswith(_NPY):
            values = _read_array(content)
            return Look(values.shape[2], None if values.dtype == np.uint8 else int(values.max(initial=0)))
        with _open(content) as image:
            if _is_deep(image):
                return Look(1, int(_deep_values(image).max(initial=0)))
            return Look(1 if image.mode in {"1", "L", "LA", "La"} else 3)


def decode_image(content: bytes, form: PixelFormat) -> npt.NDArray[np.uint8]:
    """A file as uint8 (C, S, S). Transparent pixels are laid on white; colour becomes grey by its luma (BT.601).

    Of several pictures in one file the first is taken. Raises ValueError with the reason where it cannot be read or
    does not fit the pack.
    """
    with _reasons():
        if content.startswith(_NPY):
            return _fit_array(_read_array(content), form)
        with _open(content) as image:
            return _fit_picture(image, form)


class MisfitError(ValueError):
    """The file can be read, but is no image for this pack; the message says why."""


@contextmanager
def _reasons() -> Generator[None]:
    """What reading a file raises, in words: Pillow and NumPy raise exceptions of every kind."""
    try:
        yield
    except MisfitError:
        raise
    except MemoryError as error:
        raise MisfitError("needs too much memory to be decoded") from error
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except Exception as error:
        raise ValueError("not a readable image") from error


def _open(content: bytes) -> Image.Image:
    """The first picture of a file, not decoded yet."""
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()
    return image


def _too_large() -> MisfitError:
    return MisfitError(f"more than {MAX_PIXELS // 1_000_000} megapixels")


def fit_image(image: Image.Image, image_size: int) -> npt.NDArray[np.uint8]:
    """A grey or RGB image as uint8 (1 or 3, S, S): shorter side resized with antialiasing, centre cropped."""
    fitted = np.asarray(ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR))
    return fitted[None] if fitted.ndim == 2 else fitted.transpose(2, 0, 1)


def _fit_picture(image: Image.Image, form: PixelFormat) -> npt.NDArray[np.uint8]:
    mode = "L" if form.channels == 1 else "RGB"
    image.draft(mode, (2 * form.image_size, 2 * form.image_size))
    ImageOps.exif_transpose(image, in_place=True)
    if _is_deep(image):
        return _fit_array(_deep_values(image)[..., None], form)
    if form.channels not in {1, 3}:
        raise MisfitError(f"has 1 or 3 channels instead of {form.channels}")
    return fit_image(_flat(image).convert(mode), form.image_size)


def _fit_array(values: Values, form: PixelFormat) -> npt.NDArray[np.uint8]:
    """Values (H, W, C) as uint8 (C', S, S); one channel is repeated and three are made grey where the pack asks so."""
    channels = values.shape[2]
    if channels != form.channels and {channels, form.channels} != {1, 3}:
        raise MisfitError(f"has {channels} channels instead of {form.channels}")
    planes = np.stack([_fit_plane(values[..., channel], form) for channel in range(channels)])
    if channels == form.channels:
        return planes
    if channels == 1:
        return planes.repeat(3, axis=0)
    return np.asarray(Image.fromarray(planes.transpose(1, 2, 0)).convert("L"))[None]


def _fit_plane(values: Values, form: PixelFormat) -> npt.NDArray[np.uint8]:
    """One channel (H, W) as uint8 (S, S); 16-bit values are rounded to 8 only after they are resized."""
    if values.dtype == np.uint8:
        return fit_image(Image.fromarray(values), form.image_size)[0]
    fitted = fit_image(Image.fromarray(values.astype(np.float32)), form.image_size)[0]
    return np.rint(fitted * (255 / (2**form.bits - 1))).clip(0, 255).astype(np.uint8)


def _flat(image: Image.Image) -> Image.Image:
    """The image without transparency."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _is_deep(image: Image.Image) -> bool:
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _deep_values(image: Image.Image) -> npt.NDArray[np.uint16]:
    """The grey values of an image of more than 8 bits, uint16 (H, W)."""
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise MisfitError("has values that are no 16-bit numbers: save it with 8 or 16 bits a channel")
    return values.astype(np.uint16)


def _read_array(content: bytes) -> Values:
    """A .npy file as (H, W, C), without copying. Raises MisfitError where it is no image."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    if dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise MisfitError(f"has values of type {dtype}: save it as uint8 or uint16")
    if len(shape) not in {2, 3} or not 1 <= (*shape, 1)[2] <= MAX_CHANNELS:
        raise MisfitError(f"has shape {shape}: an image is height x width x channels, with up to {MAX_CHANNELS}")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise _too_large()
    values = np.frombuffer(content, dtype, count=int(np.prod(shape)), offset=file.tell())
    return values.reshape(shape, order="F" if is_fortran else "C").reshape(*shape[:2], -1)
