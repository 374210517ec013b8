"""Time and memory of pretraining as the batch and the number of images grow.

    python -m benchmarks.scaling

Each line is measured in a process of its own, so that its memory is its own. The net is a ResNet-18 at an eighth of
its width with the 'stride2' stem at 32 pixels (on a GPU at full width), small enough for the loss to show: it alone
grows with the square of the batch. The images of the second table lie in a memory-mapped file, as a pack's do.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import describe, peak_memory, wait_for
from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture, build_model
from worker.simclr.precision import best_device, choose_precision, prepare_device, set_threads
from worker.simclr.training.memory import keep_freed_memory
from worker.simclr.training.optimizers import build_optimizer
from worker.simclr.training.pretraining import Learner, Recipe, pretrain

BATCHES = (64, 256, 1024, 4096, 8192)
MICRO_BATCH = 256
IMAGES = (5_000, 50_000, 200_000, 1_000_000)
BATCH_OF_IMAGES = 256
SIDE = 32


def measure(images: int, batch_size: int, micro_batch_size: int | None, folder: Path | None) -> None:
    """Print seconds to the first step, images/s after it, the loss's share of the time, and peak memory in MiB."""
    set_threads()
    keep_freed_memory()
    device = best_device()
    prepare_device(device, deterministic=False)
    recipe = Recipe(
        ops=(Crop(), Flip(), Color()),
        branches="both",
        image_size=SIDE,
        loss=lambda z, anchors: contrastive_loss(z, anchors=anchors),
        peak_learning_rate=0.01,
        warmup_epochs=0,
        epochs=1_000_000,
        batch_size=batch_size,
        precision=choose_precision("auto", device),
        seed=0,
        micro_batch_size=micro_batch_size,
    )
    width = 1.0 if device.type == "cuda" else 0.125
    model = build_model(Architecture("resnet18", width, "stride2"), 0, device)
    learner = Learner(model, build_optimizer("sgd", model, weight_decay=1e-4, momentum=0.9))
    started = time.perf_counter()
    training = pretrain(learner, _pixels(images, folder, device), recipe)
    next(training)
    first = time.perf_counter() - started
    done, started = 0, time.perf_counter()
    while done < max(1, 4096 // batch_size):
        done += len(next(training).losses)
    wait_for(device)
    seconds = (time.perf_counter() - started) / done
    share = _loss_seconds(batch_size, device) / seconds
    print(f"{first:.2f} {batch_size / seconds:.0f} {share:.4f} {peak_memory(device) / 2**20:.0f}")


def _loss_seconds(batch_size: int, device: torch.device) -> float:
    z = torch.randn(2 * batch_size, 128, device=device, requires_grad=True)
    contrastive_loss(z).loss.backward()
    wait_for(device)
    started = time.perf_counter()
    contrastive_loss(z).loss.backward()
    wait_for(device)
    return time.perf_counter() - started


def _pixels(images: int, folder: Path | None, device: torch.device) -> Tensor:
    if folder is None:
        return torch.randint(256, (images, 3, SIDE, SIDE), dtype=torch.uint8).to(device)
    pixels = np.memmap(folder / "pixels.bin", np.uint8, "w+", shape=(images, 3, SIDE, SIDE))
    for start in range(0, images, 50_000):
        pixels[start : start + 50_000] = np.random.default_rng(0).integers(256, size=(1, 3, SIDE, SIDE), dtype=np.uint8)
    return torch.from_numpy(pixels)


def in_own_process(images: int, batch_size: int, micro_batch_size: int | None, folder: Path | None) -> list[float]:
    """What ``measure`` prints."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--measure", str(images), str(batch_size)]
    command += ["--micro", str(micro_batch_size)] if micro_batch_size else []
    command += ["--folder", str(folder)] if folder else []
    return [
        float(value) for value in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--measure", nargs=2, type=int, metavar=("IMAGES", "BATCH"), help="one line, in this process")
    parser.add_argument("--micro", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--smoke", action="store_true", help="one short line of each: only shows that it runs")
    args = parser.parse_args(argv)
    if args.measure:
        images, batch_size = args.measure
        measure(images, batch_size, args.micro, args.folder)
        return
    device = best_device()
    set_threads()
    print(describe(device, choose_precision("auto", device)))
    print(f"{'batch':>10}{'micro-batch':>13}{'images/s':>10}{'loss':>8}{'peak MiB':>10}")
    for batch in (16,) if args.smoke else BATCHES:
        for micro in (None, MICRO_BATCH) if batch > MICRO_BATCH else (None,):
            _, speed, share, memory = in_own_process(batch, batch, micro, None)
            print(f"{batch:10,}{micro or '':>13}{speed:10,.0f}{share:8.1%}{memory:10,.0f}", flush=True)
    print(f"{'images':>10}{'file MiB':>10}{'first step s':>14}{'images/s':>10}{'peak MiB':>10}")
    for images in (1000,) if args.smoke else IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            first, speed, _, memory = in_own_process(images, BATCH_OF_IMAGES, None, Path(folder))
        size = images * 3 * SIDE**2 / 2**20
        print(f"{images:10,}{size:10,.0f}{first:14.2f}{speed:10,.0f}{memory:10,.0f}", flush=True)


if __name__ == "__main__":
    main()
