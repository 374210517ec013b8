"""How fast images are imported into a pack, beside torchvision's loader, and how fast batches come out of one.

    python -m benchmarks.packs

Import: JPEG files made here are decoded, resized and cropped: into a pack by ours with one process and with one a core,
and by torchvision's ImageFolder in two DataLoader workers (shorter side resized, centre crop), which is what a loop
without packs does in every epoch. The contenders take turns; ratios are medians over the turns.
Rows: batches of 256 from a memory-mapped pack in the page cache, in order, at random, and at random from two splits
joined. A batch is copied into one buffer, as for a GPU.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.machine import describe
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import PackWriter, load_pack
from worker.simclr.data.rows import Pixels, gather, join

BATCH = 256
LOADER_WORKERS = 2


@dataclass(frozen=True)
class Files:
    """JPEG files to import: how many, how large, and the side of the pack."""

    name: str
    count: int
    width: int
    height: int
    image_size: int


@dataclass(frozen=True)
class Stored:
    """A pack to read from: images and their side."""

    count: int
    image_size: int


FILES = (Files("32x32 to 32", 4000, 32, 32, 32), Files("500x375 to 224", 400, 500, 375, 224))
SMOKE_FILES = (Files("smoke", 20, 40, 30, 16),)
STORED = (Stored(50_000, 32), Stored(2_000, 224))
SMOKE_STORED = (Stored(300, 16),)


def write_files(folder: Path, files: Files) -> int:
    """Make the files, in two class folders; returns their size in bytes. Pictures are smooth, as photographs are."""
    random = np.random.default_rng(0)
    total = 0
    for number in range(files.count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((files.width, files.height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        path = folder / f"{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
        total += len(file.getvalue())
    return total


def ours(folder: Path, files: Files, processes: int) -> None:
    """Import the files into a pack, which is written to disk."""
    with tempfile.TemporaryDirectory() as packs:
        import_images(
            folder,
            Path(packs),
            image_size=files.image_size,
            test_share=0.1,
            processes=processes,
            on_progress=lambda _: None,
        )


def torchvision_loader(folder: Path, files: Files) -> None:
    """Go through the files once with torchvision's loader."""
    size = files.image_size
    transform = v2.Compose([v2.Resize(size), v2.CenterCrop(size), v2.PILToTensor()])
    for _ in DataLoader(ImageFolder(folder, transform), batch_size=BATCH, num_workers=LOADER_WORKERS):
        pass


def measure_import(folder: Path, files: Files, turns: int) -> dict[str, list[float]]:
    """Images/s of every contender in every turn."""
    cores = os.cpu_count() or 1
    contenders: dict[str, Callable[[], None]] = {
        "ours": lambda: ours(folder, files, cores),
        "1 process": lambda: ours(folder, files, 1),
        "torchvision": lambda: torchvision_loader(folder, files),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            speeds[name].append(files.count / (time.perf_counter() - started))
    return speeds


def measure_rows(pixels: Pixels, batches: list[Tensor]) -> float:
    """Images/s of gathering the batches into one buffer; all were touched before."""
    buffer = torch.empty((len(batches[0]), *pixels.shape[1:]), dtype=torch.uint8)
    for index in batches:
        gather(pixels, index, buffer)
    started = time.perf_counter()
    for index in batches:
        gather(pixels, index, buffer)
    return len(batches) * len(batches[0]) / (time.perf_counter() - started)


def rows(stored: Stored) -> dict[str, float]:
    """Images/s out of a pack in three ways."""
    random = np.random.default_rng(0)
    size = stored.image_size
    with tempfile.TemporaryDirectory() as packs:
        with PackWriter(Path(packs), ("a",), size) as writer:
            image = random.integers(0, 256, (3, size, size), dtype=np.uint8)
            for number in range(stored.count):
                writer.add("train" if number % 2 else "unlabelled", image, 0)
            dataset = load_pack(writer.finish()[1])
        train, unlabelled = dataset.train.pixels, dataset.unlabelled
        assert unlabelled is not None
        batch = min(BATCH, len(train))
        shuffled = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        full = len(train) // batch * batch
        return {
            "in order": measure_rows(train, list(torch.arange(full).split(batch))),
            "random": measure_rows(train, list(shuffled[:full].split(batch))),
            "joined": measure_rows(join(train, unlabelled), list((2 * shuffled)[:full].split(batch))),
        }


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packs", description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="turns of every contender (default 3)")
    parser.add_argument("--smoke", action="store_true", help="few small images and one turn: only shows that it runs")
    args = parser.parse_args(argv)
    print(describe(torch.device("cpu"), "fp32"))
    print(f"{'import':18}{'ours':>9}{'MB/s':>8}{'1 process':>10}{'torchvision':>13}   ours/1 process  ours/torchvision")
    for files in SMOKE_FILES if args.smoke else FILES:
        with tempfile.TemporaryDirectory() as made:
            size = write_files(Path(made), files)
            speeds = measure_import(Path(made), files, 1 if args.smoke else args.turns)
        middle = {name: statistics.median(values) for name, values in speeds.items()}
        ratios = {
            name: statistics.median(a / b for a, b in zip(speeds["ours"], values, strict=True))
            for name, values in speeds.items()
        }
        megabytes = middle["ours"] * size / files.count / 1e6
        print(
            f"{files.name:18}{middle['ours']:9.0f}{megabytes:8.2f}{middle['1 process']:10.0f}"
            f"{middle['torchvision']:13.0f}{ratios['1 process']:16.2f}{ratios['torchvision']:18.2f}"
        )
    print("images/s and MB/s of files, medians over the turns; ratios are medians of the turns' ratios")
    print(f"{'rows':18}{'in order':>11}{'random':>11}{'joined':>11}   random GB/s")
    for stored in SMOKE_STORED if args.smoke else STORED:
        found = rows(stored)
        gigabytes = found["random"] * 3 * stored.image_size**2 / 1e9
        print(
            f"{f'{stored.count} x {stored.image_size}':18}{found['in order']:11.0f}{found['random']:11.0f}"
            f"{found['joined']:11.0f}{gigabytes:14.2f}"
        )
    print("images/s from the page cache")


if __name__ == "__main__":
    main()
