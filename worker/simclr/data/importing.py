"""Import images into a pack: decoded once, in parallel, with progress; broken files are reported by name."""

import io
import os
import random
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from worker.simclr.data.pack import PackWriter
from worker.simclr.data.sources import Entry, ImportRefusedError, Source, list_entries, open_source

MAX_PIXELS = 100_000_000
MAX_BROKEN_LISTED = 1000
_CHUNK = 512


@dataclass(frozen=True)
class ImportedPack:
    """What an import made and found. ``broken`` lists (file, reason), at most the first 1000."""

    sha256: str
    directory: Path
    train_images: int
    test_images: int
    classes: tuple[str, ...]
    image_size: int
    channels: int
    size_bytes: int
    broken: list[tuple[str, str]]
    broken_total: int


def import_images(
    source: Path,
    packs: Path,
    *,
    image_size: int,
    test_share: float,
    split_seed: int = 0,
    processes: int | None = None,
    on_progress: Callable[[float], None],
) -> ImportedPack:
    """Decode a zip or folder into a pack under ``packs``.

    Images are resized (shorter side, antialiased) and centre-cropped to ``image_size`` pixels, as RGB. Where there is
    no test folder, ``test_share`` of each class is split off by ``split_seed``. ``on_progress`` hears the share done.
    Decoding runs in ``processes`` threads (default: one a core), because Pillow works outside Python's lock.
    Raises ImportRefusedError, and leaves nothing half-made.
    """
    with open_source(source) as opened:
        entries = _with_splits(list_entries(opened), test_share, split_seed)
        classes = tuple(sorted({entry.label for entry in entries}))
        _check_room(packs, len(entries) * 3 * image_size**2)
        numbers = {label: number for number, label in enumerate(classes)}
        broken: list[tuple[str, str]] = []
        broken_total = 0
        with PackWriter(packs, classes, image_size) as writer:
            decoded = _decode_all(opened, entries, image_size, processes or os.cpu_count() or 1)
            for done, (entry, result) in enumerate(decoded, 1):
                if isinstance(result, str):
                    broken_total += 1
                    if len(broken) < MAX_BROKEN_LISTED:
                        broken.append((entry.name, result))
                else:
                    writer.add(entry.split or "train", result, numbers[entry.label])
                if done % _CHUNK == 0:
                    on_progress(done / len(entries))
            _check_classes(writer.labels["train"], classes, broken)
            sha256, directory = writer.finish()
            counts = {split: len(labels) for split, labels in writer.labels.items()}
    on_progress(1.0)
    return ImportedPack(
        sha256=sha256,
        directory=directory,
        train_images=counts["train"],
        test_images=counts["test"],
        classes=classes,
        image_size=image_size,
        channels=3,
        size_bytes=sum(path.stat().st_size for path in directory.iterdir()),
        broken=broken,
        broken_total=broken_total,
    )


def decode_image(content: bytes, image_size: int) -> npt.NDArray[np.uint8]:
    """An image file as RGB uint8 (3, S, S): turned as its EXIF says, shorter side resized, centre cropped.

    Transparent pixels are laid on white. Raises ValueError with the reason where it cannot be read.
    """
    with warnings.catch_warnings():
        # Pillow warns of large images and of odd metadata; size is checked here, metadata does not matter.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height <= MAX_PIXELS:
                    image.draft("RGB", (2 * image_size, 2 * image_size))
                    return fit_image(_as_rgb(ImageOps.exif_transpose(image)), image_size)
        except Exception as error:
            raise ValueError("not a readable image") from error
    raise ValueError(f"more than {MAX_PIXELS // 1_000_000} megapixels")


def fit_image(image: Image.Image, image_size: int) -> npt.NDArray[np.uint8]:
    """An RGB image as uint8 (3, S, S): shorter side resized with antialiasing, centre cropped."""
    fitted = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(fitted).transpose(2, 0, 1)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I;16", "I", "F"}:
        values = np.asarray(image, dtype=np.float64)
        span = max(float(values.max() - values.min()), 1e-12)
        return Image.fromarray(((values - values.min()) / span * 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _decode_all(
    source: Source, entries: Sequence[Entry], image_size: int, threads: int
) -> Iterator[tuple[Entry, npt.NDArray[np.uint8] | str]]:
    """Each entry with its pixels, or with the reason why it has none; in order, with bounded memory."""

    def decode(entry: Entry) -> npt.NDArray[np.uint8] | str:
        try:
            return decode_image(source.read(entry.name), image_size)
        except (ValueError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(entries), _CHUNK):
            chunk = entries[start : start + _CHUNK]
            yield from zip(chunk, pool.map(decode, chunk), strict=True)


def _with_splits(entries: list[Entry], test_share: float, seed: int) -> list[Entry]:
    """Entries with a split each; where there is no test folder, a share of every class is drawn."""
    if any(entry.split == "test" for entry in entries):
        return entries
    by_label: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_label[entry.label].append(entry)
    test: set[str] = set()
    for label, members in by_label.items():
        count = min(len(members) - 1, max(1, round(len(members) * test_share)))
        test.update(entry.name for entry in random.Random(f"{seed}/{label}").sample(members, count))  # noqa: S311
    return [Entry(entry.name, entry.label, "test" if entry.name in test else "train") for entry in entries]


def _check_room(packs: Path, needed: int) -> None:
    packs.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(packs).free
    if needed > free:
        raise ImportRefusedError(
            f"The images need {needed / 1e9:.1f} GB at this size and {free / 1e9:.1f} GB are free. Make room, or import smaller."
        )


def _check_classes(labels: Sequence[int], classes: tuple[str, ...], broken: Sequence[tuple[str, str]]) -> None:
    missing = sorted(set(range(len(classes))) - set(labels))
    if missing:
        example = f" For example {broken[0][0]}: {broken[0][1]}." if broken else ""
        raise ImportRefusedError(f"The class '{classes[missing[0]]}' has no readable training image.{example}")
