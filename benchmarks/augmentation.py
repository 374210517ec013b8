"""Views/s of our batched augmentation beside torchvision's transforms image by image on PIL, in one run.

    python -m benchmarks.augmentation

Every row takes a batch of 8-bit images to float views: each operation alone, then the paper's pipelines for CIFAR-10
(crop, flip, colour 0.5) and ImageNet (crop, flip, colour 1, blur). Both contenders take turns, so that a busy machine
slows both alike; speeds and ratios are medians over the turns. torchvision runs in this one process, as one
DataLoader worker would; "-" where it has no such transform for PIL images.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.machine import describe, wait_for
from worker.simclr.augmentation.autoaugment import AutoAugment
from worker.simclr.augmentation.blur import Blur, MotionBlur, kernel_size
from worker.simclr.augmentation.color import Color, Grayscale, Jitter
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.cutout import Cutout
from worker.simclr.augmentation.noise import Noise
from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.rotate import Rotate
from worker.simclr.augmentation.sobel import Sobel
from worker.simclr.augmentation.tone import Equalize, Solarize
from worker.simclr.augmentation.views import two_views
from worker.simclr.precision import best_device, set_threads
from worker.simclr.training.memory import keep_freed_memory


@dataclass(frozen=True)
class Row:
    """Operations of ours and the same as transforms of PIL images, if torchvision has them."""

    name: str
    ops: Sequence[Op]
    theirs: Sequence[v2.Transform] | None


def _color(strength: float) -> list[v2.Transform]:
    reach = 0.8 * strength
    jitter = v2.ColorJitter(reach, reach, reach, 0.2 * strength)
    return [v2.RandomApply([jitter], p=0.8), v2.RandomGrayscale(0.2)]


def rows(size: int) -> list[Row]:
    """What is measured at views of ``size`` pixels."""
    crop, flip = v2.RandomResizedCrop(size, scale=(0.08, 1.0)), v2.RandomHorizontalFlip()
    blur = v2.RandomApply([v2.GaussianBlur(kernel_size(size), (0.1, 2.0))], p=0.5)
    rotate = v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)])
    return [
        Row("crop", (Crop(),), [crop]),
        Row("flip", (Flip(),), [flip]),
        Row("color 0.5", (Color(),), _color(0.5)),
        Row("jitter 0.5", (Jitter(),), _color(0.5)[:1]),
        Row("grayscale", (Grayscale(),), [v2.RandomGrayscale(0.2)]),
        Row("blur", (Blur(),), [blur]),
        Row("cutout", (Cutout(),), None),
        Row("rotate", (Rotate(),), [rotate]),
        Row("noise", (Noise(),), None),
        Row("sobel", (Sobel(),), None),
        Row("equalize", (Equalize(),), [v2.RandomEqualize(0.2)]),
        Row("solarize", (Solarize(),), [v2.RandomSolarize(128, 0.2)]),
        Row("motion blur", (MotionBlur(),), None),
        Row("autoaugment imagenet", (AutoAugment(),), [v2.AutoAugment()]),
        Row("crop + flip + color 0.5", (Crop(), Flip(), Color()), [crop, flip, *_color(0.5)]),
        Row("crop + flip + color 1 + blur", (Crop(), Flip(), Color(1.0), Blur()), [crop, flip, *_color(1.0), blur]),
    ]


def ours(row: Row, pixels: Tensor, size: int) -> Callable[[], int]:
    """Makes two views of each of ``pixels`` and returns how many that are."""

    def turn() -> int:
        views = two_views(pixels, row.ops, image_size=size, branches="both", seed=0, step=0)
        wait_for(views.device)
        return len(views)

    return turn


def reference(theirs: Sequence[v2.Transform], images: Sequence[Image.Image]) -> Callable[[], int]:
    """Makes one view of each of ``images``, one by one, and returns how many that are."""
    transform = v2.Compose([*theirs, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    return lambda: len(torch.stack([transform(image) for image in images]))


def speed(turn: Callable[[], int]) -> float:
    """Views/s of one turn."""
    started = time.perf_counter()
    views = turn()
    return views / (time.perf_counter() - started)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("--turns", type=int, default=7, help="turns of every contender (default 7)")
    parser.add_argument("--smoke", action="store_true", help="few small images and one turn: only shows that it runs")
    args = parser.parse_args(argv)
    set_threads()
    keep_freed_memory()
    device = best_device()
    print(describe(device, "fp32"))
    for size, batch in ((16, 4),) if args.smoke else ((32, 256), (224, 64)):
        print(f"{f'{size} x {size}, batch {batch}':32}{'ours':>12}{'torchvision':>13}{'ratio':>8}")
        pixels = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8)
        images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels[:64]]
        for row in rows(size):
            mine = ours(row, pixels.to(device), size)
            theirs = reference(row.theirs, images) if row.theirs else None
            for warm_up in (mine, theirs):
                if warm_up:
                    warm_up()
            turns = [(speed(mine), speed(theirs) if theirs else 0.0) for _ in range(1 if args.smoke else args.turns)]
            line = f"{row.name:32}{statistics.median(own for own, _ in turns):12.0f}"
            if theirs:
                line += f"{statistics.median(other for _, other in turns):13.0f}"
                line += f"{statistics.median(own / other for own, other in turns):8.1f}"
            else:
                line += f"{'-':>13}{'-':>8}"
            print(line)
    print("views/s, medians over the turns; ratios are medians of the turns' ratios")


if __name__ == "__main__":
    main()
