"""Images/s of our pretraining beside a loop with per-image augmentation and beside the bare step, in one run.

    python -m benchmarks.pretraining

Three contenders take turns, so that a busy machine slows down all of them alike; the ratios are medians over the
turns. All train the same ResNet with NT-Xent and SGD on 32x32 images with crop, flip and colour 0.5.

- ``ours``: the loop that runs use: batched tensor augmentation, channels-last, bf16 where the processor is fast at it.
- ``reference``: what most published loops do: torchvision transforms on PIL images in two DataLoader workers, fp32.
- ``bare``: our net, loss and optimiser in our precision and layout on random tensors: no data, no augmentation.

All share the process and so its settings of threads and memory, which help the other two as well.
An image is counted once although each gives two views.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.losses.nt_xent import nt_xent, nt_xent_logits, positives
from worker.simclr.nets.model import Architecture, SimCLR, build_model
from worker.simclr.precision import Precision, autocast, best_device, choose_precision, set_threads
from worker.simclr.training.memory import keep_freed_memory
from worker.simclr.training.optimizers import build_optimizer, set_learning_rate
from worker.simclr.training.pretraining import Learner, Recipe, pretrain

IMAGE_SIZE = 32
TEMPERATURE = 0.5
LEARNING_RATE = 0.03
REFERENCE_WORKERS = 2

Step = Callable[[], object]
"""One training step of a contender."""


@dataclass(frozen=True)
class Row:
    """A setting to measure: its name, net and batch, and how many steps make a turn of a contender."""

    name: str
    architecture: Architecture
    batch_size: int
    steps: int


ROWS = (
    Row("ResNet-18, batch 128", Architecture("resnet18", 1.0, "cifar"), 128, 2),
    Row("ResNet-18 quarter width, batch 256", Architecture("resnet18", 0.25, "cifar"), 256, 4),
)
SMOKE_ROWS = (Row("smoke", Architecture("resnet18", 0.0625, "stride2"), 8, 1),)


class PilViews(Dataset[tuple[Tensor, Tensor]]):
    """Two views of each image, augmented one by one with torchvision on PIL; goes round without end."""

    def __init__(self, pixels: Tensor, length: int) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels]
        self.length = length
        self.augment = v2.Compose(
            [
                v2.RandomResizedCrop(IMAGE_SIZE, scale=(0.08, 1.0)),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index % len(self.images)]
        return self.augment(image), self.augment(image)


def ours(row: Row, pixels: Tensor, precision: Precision, device: torch.device) -> Step:
    """A step of the loop that runs use."""
    recipe = Recipe(
        ops=(Crop(), Flip(), Color()),
        branches="both",
        image_size=IMAGE_SIZE,
        loss=lambda z, anchors: nt_xent(z, TEMPERATURE, anchors),
        peak_learning_rate=LEARNING_RATE,
        warmup_epochs=0,
        epochs=1_000_000,
        batch_size=row.batch_size,
        precision=precision,
        seed=0,
    )
    model = build_model(row.architecture, 0, device)
    learner = Learner(model, build_optimizer("sgd", model, weight_decay=1e-4, momentum=0.9))
    training = pretrain(learner, pixels.to(device), recipe)
    return lambda: next(training)


def bare(row: Row, precision: Precision, device: torch.device) -> Step:
    """A step on random tensors."""
    model = build_model(row.architecture, 0, device).train()
    optimizer = build_optimizer("sgd", model, weight_decay=1e-4, momentum=0.9)
    set_learning_rate(optimizer, LEARNING_RATE)
    views = torch.rand(2 * row.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE, device=device)
    views = views.contiguous(memory_format=torch.channels_last)

    def step() -> float:
        optimizer.zero_grad()
        with autocast(precision, device):
            z = model(views)
        loss = functional.cross_entropy(nt_xent_logits(z, TEMPERATURE), positives(len(z), device))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def reference(row: Row, pixels: Tensor, device: torch.device) -> Step:
    """A step of the loop with per-image augmentation: fp32, the default memory layout, no autocast."""
    model = SimCLR(row.architecture).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    batches: Iterator[list[Tensor]] = iter(
        DataLoader(
            PilViews(pixels, length=10_000_000),
            batch_size=row.batch_size,
            shuffle=False,
            num_workers=REFERENCE_WORKERS,
            drop_last=True,
        )
    )

    def step() -> float:
        views = torch.cat(next(batches)).to(device)
        z = functional.normalize(model(views), dim=1)
        logits = z @ z.T / TEMPERATURE
        logits.fill_diagonal_(-torch.inf)
        loss = functional.cross_entropy(logits, positives(len(z), device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(contenders: dict[str, Step], row: Row, turns: int) -> dict[str, list[float]]:
    """Images/s of every contender in every turn; each warms up before its first."""
    for step in contenders.values():
        step()
        step()
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, step in contenders.items():
            started = time.perf_counter()
            for _ in range(row.steps):
                step()
            speeds[name].append(row.steps * row.batch_size / (time.perf_counter() - started))
    return speeds


def ratio(speeds: dict[str, list[float]], name: str) -> float:
    """Median over the turns of ours divided by the contender ``name`` in the same turn."""
    return statistics.median(a / b for a, b in zip(speeds["ours"], speeds[name], strict=True))


def machine(device: torch.device, precision: Precision) -> str:
    """What this was measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(": ")[1] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = models[0] if models else processor
    if device.type == "cuda":
        processor = f"{torch.cuda.get_device_name(device)}, host {processor}"
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, ours in {precision}{load}"


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretraining", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--smoke", action="store_true", help="a tiny net and one turn: only shows that it runs")
    args = parser.parse_args(argv)
    set_threads()
    keep_freed_memory()
    device = best_device()
    precision = choose_precision("auto", device)
    print(machine(device, precision))
    print(f"{'':36}{'ours':>10}{'reference':>11}{'bare':>10}   ours/reference  ours/bare")
    pixels = torch.randint(256, (4096, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8)
    for row in SMOKE_ROWS if args.smoke else ROWS:
        contenders = {
            "ours": ours(row, pixels, precision, device),
            "reference": reference(row, pixels, device),
            "bare": bare(row, precision, device),
        }
        speeds = measure(contenders, row, 1 if args.smoke else args.turns)
        middle = {name: statistics.median(values) for name, values in speeds.items()}
        print(
            f"{row.name:36}{middle['ours']:10.0f}{middle['reference']:11.0f}{middle['bare']:10.0f}"
            f"{ratio(speeds, 'reference'):17.2f}{ratio(speeds, 'bare'):11.2f}"
        )
    print("images/s, medians over the turns; ratios are medians of the turns' ratios")


if __name__ == "__main__":
    main()
