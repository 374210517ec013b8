"""Import images into a pack: decoded once, in parallel, with progress; broken files are reported by name."""

import os
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.simclr.data.decoders import Decoders, answers_to_files
from worker.simclr.data.decoding import PixelFormat
from worker.simclr.data.imported import ImportedPack, finished
from worker.simclr.data.pack import PackWriter
from worker.simclr.data.parallel import in_batches
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.sources import Entry, Source, list_entries, open_source
from worker.simclr.data.survey import Channels, survey

MAX_BROKEN_LISTED = 1000
_PROGRESS_EVERY = 512
_AHEAD_BYTES = 64 << 20
_MOST_AHEAD = 512


def import_images(
    source: Path,
    packs: Path,
    *,
    image_size: int,
    test_share: float,
    channels: Channels = "auto",
    class_names: Mapping[str, str] | None = None,
    split_seed: int = 0,
    processes: int | None = None,
    on_progress: Callable[[float], None],
) -> ImportedPack:
    """Decode a zip or folder into a pack under ``packs``; sources.py says how it is laid out, decoding.py what is done.

    Classes are numbered in the order of their folders' names (``class_names`` gives them others to show). Where there
    is no test folder, ``test_share`` of each class is split off by ``split_seed``. ``on_progress`` hears the share
    done. Images are decoded in ``processes`` (default: one a core), with some 64 MiB of decoded images waiting.
    Raises ImportRefusedError, and leaves nothing half-made.
    """
    with open_source(source) as opened, Decoders(processes or os.cpu_count() or 1) as decoders:
        entries = _with_splits(list_entries(opened), test_share, split_seed)
        names = [entry.name for entry in entries]
        found = survey(opened, names, channels, decoders, on_progress=on_progress)
        form = PixelFormat(image_size, found.channels, found.bits)
        _check_room(packs, len(entries) * form.channels * image_size**2)
        folders = sorted({entry.label for entry in entries if entry.label is not None})
        numbers = {folder: number for number, folder in enumerate(folders)}
        classes = tuple((class_names or {}).get(folder, folder) for folder in folders)
        broken: list[tuple[str, str]] = []
        broken_total = 0
        with PackWriter(packs, classes, image_size, form.channels) as writer:
            for done, (entry, result) in enumerate(_decode_all(opened, entries, form, decoders), 1):
                if isinstance(result, str):
                    broken_total += 1
                    if len(broken) < MAX_BROKEN_LISTED:
                        broken.append((entry.name, result))
                else:
                    label = None if entry.label is None else numbers[entry.label]
                    writer.add(entry.split or "train", result, label)
                if done % _PROGRESS_EVERY == 0:
                    on_progress(done / len(entries))
            _check_content(writer, broken)
            pack = finished(writer, notes=(*found.notes, *opened.notes()), broken=broken, broken_total=broken_total)
    on_progress(1.0)
    return pack


def _decode_all(
    source: Source, entries: Sequence[Entry], form: PixelFormat, decoders: Decoders
) -> Iterator[tuple[Entry, npt.NDArray[np.uint8] | str]]:
    """Each entry with its pixels, or with the reason why it has none; in order, with bounded memory."""
    names = [entry.name for entry in entries]
    ahead = min(_MOST_AHEAD, _AHEAD_BYTES // (form.channels * form.image_size**2))
    decoded = in_batches(
        lambda batch: answers_to_files(source, batch, lambda contents: decoders.decode(contents, form)),
        names,
        threads=decoders.count + 1,
        ahead=ahead,
    )
    yield from zip(entries, decoded, strict=True)


def _with_splits(entries: list[Entry], test_share: float, seed: int) -> list[Entry]:
    """Entries with a split each; where there is no test folder, a share of every class is drawn."""
    if any(entry.split == "test" for entry in entries):
        return entries
    by_label: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.label is not None:
            by_label[entry.label].append(entry)
    test: set[str] = set()
    for label, members in by_label.items():
        count = min(len(members) - 1, max(1, round(len(members) * test_share)))
        test.update(entry.name for entry in random.Random(f"{seed}/{label}").sample(members, count))  # noqa: S311
    return [Entry(one.name, one.label, "test" if one.name in test else one.split or "train") for one in entries]


def _check_room(packs: Path, needed: int) -> None:
    packs.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(packs).free
    if needed > free:
        raise ImportRefusedError(
            f"The images need {needed / 1e9:.1f} GB at this size and {free / 1e9:.1f} GB are free. Make room, or import smaller."
        )


def _check_content(writer: PackWriter, broken: Sequence[tuple[str, str]]) -> None:
    example = f" For example {broken[0][0]}: {broken[0][1]}." if broken else ""
    if not any(writer.counts.values()):
        raise ImportRefusedError(f"No image can be read.{example}")
    missing = sorted(set(range(len(writer.classes))) - set(writer.labels["train"]))
    if missing:
        raise ImportRefusedError(f"The class '{writer.classes[missing[0]]}' has no readable training image.{example}")
