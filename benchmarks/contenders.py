"""Who trains beside whom: our loop, two loops that others use, and the bare step, each as a step that can be timed.

- ``ours``: the loop that runs use: batched tensor augmentation, channels-last, bf16 where the processor is fast at it.
- ``lightly``: lightly's SimCLR example with its own transform, loss and loader (LightlyDataset, DataLoader workers,
  two forward passes, fp32), around the net of the row.
- ``torchvision``: the loop that most people write: torchvision transforms on PIL images in DataLoader workers, fp32.
- ``bare``: our net, loss and optimiser in our precision and layout on random tensors that lie on the device already.

All train the same ResNet with NT-Xent and SGD with crop, flip and colour 0.5. An image is counted once although each
gives two views.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.losses.contrastive import contrastive_loss, positives
from worker.simclr.nets.model import Architecture, build_model
from worker.simclr.precision import autocast, best_device, choose_precision
from worker.simclr.training.optimizers import build_optimizer, set_learning_rate
from worker.simclr.training.pretraining import Learner, Recipe, pretrain

TEMPERATURE = 0.5
LEARNING_RATE = 0.03
IMAGES = 2048
STORED_SIZE = {32: 32, 224: 256}
"""Side of the stored images, by that of the views."""

Step = Callable[[], int]
"""Trains a little and returns how many images it trained on."""


@dataclass(frozen=True)
class Row:
    """A setting to measure. ``images`` make a turn of a contender."""

    name: str
    architecture: Architecture
    image_size: int
    batch_size: int
    images: int
    workers: int = 2


def pixels_of(row: Row) -> Tensor:
    """Images to train on: uint8 (n, 3, S, S), blurred noise so that they compress and augment like pictures."""
    side = STORED_SIZE.get(row.image_size, row.image_size)
    count = max(row.batch_size, IMAGES if side <= 64 else 256)
    noise = torch.rand(count, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(noise, size=side, mode="bilinear").mul(255).to(torch.uint8)


def ours(row: Row) -> Step:
    """The loop that runs use."""
    device = best_device()
    recipe = Recipe(
        ops=(Crop(), Flip(), Color()),
        branches="both",
        image_size=row.image_size,
        loss=lambda z, anchors: contrastive_loss(z, temperature=TEMPERATURE, anchors=anchors),
        peak_learning_rate=LEARNING_RATE,
        warmup_epochs=0,
        epochs=1_000_000,
        batch_size=row.batch_size,
        precision=choose_precision("auto", device),
        seed=0,
    )
    model = build_model(row.architecture, 0, device)
    optimizer = build_optimizer("sgd", model, weight_decay=1e-4, momentum=0.9)
    learner = Learner(model, optimizer, compiled=device.type == "cuda")
    training = pretrain(learner, pixels_of(row).to(device), recipe)
    return lambda: len(next(training).losses) * row.batch_size


def bare(row: Row) -> Step:
    """The step alone, on random tensors."""
    device = best_device()
    precision = choose_precision("auto", device)
    model = build_model(row.architecture, 0, device).train()
    optimizer = build_optimizer("sgd", model, weight_decay=1e-4, momentum=0.9)
    set_learning_rate(optimizer, LEARNING_RATE)
    forward = cast("nn.Module", torch.compile(model)) if device.type == "cuda" else model
    views = torch.rand(2 * row.batch_size, 3, row.image_size, row.image_size, device=device)
    views = views.contiguous(memory_format=torch.channels_last)

    def step() -> int:
        optimizer.zero_grad(set_to_none=True)
        with autocast(precision, device):
            z = forward(views)
        contrastive_loss(z, temperature=TEMPERATURE).loss.backward()
        optimizer.step()
        return row.batch_size

    return step


class PilImages(Dataset[Any]):
    """PIL images with what ``transform`` makes of each; as long as asked for, so that a loader never ends."""

    def __init__(self, pixels: Tensor, transform: Callable[[Image.Image], Any]) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels]
        self.transform = transform

    def __len__(self) -> int:
        return 100_000_000

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index % len(self.images)])


def torchvision(row: Row) -> Step:
    """Per-image torchvision transforms in DataLoader workers, fp32, the default memory layout, one forward pass."""
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(row.image_size, scale=(0.08, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    device = best_device()
    model = build_model(row.architecture, 0, device).to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    batches = _batches(PilImages(pixels_of(row), lambda image: (augment(image), augment(image))), row)

    def step() -> int:
        views = torch.cat(next(batches)).to(device)
        z = functional.normalize(model(views), dim=1)
        logits = z @ z.T / TEMPERATURE
        logits.fill_diagonal_(-torch.inf)
        loss = functional.cross_entropy(logits, positives(len(z), device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        return row.batch_size

    return step


def lightly(row: Row) -> Step:
    """What lightly's example does: its SimCLR transform and NTXentLoss, a forward pass for each view, plain SGD.

    Raises ImportError where lightly is not installed (dependency group ``benchmark``).
    """
    transforms, losses = map(import_module, ("lightly.transforms.simclr_transform", "lightly.loss"))
    transform = transforms.SimCLRTransform(input_size=row.image_size, cj_strength=0.5, gaussian_blur=0.0)
    device = best_device()
    model = build_model(row.architecture, 0, device).to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    criterion = losses.NTXentLoss(temperature=TEMPERATURE)
    batches = _batches(PilImages(pixels_of(row), transform), row)

    def step() -> int:
        first, second = (views.to(device) for views in next(batches))
        loss = criterion(model(first), model(second))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return row.batch_size

    return step


def _batches(dataset: PilImages, row: Row) -> Iterator[Any]:
    return iter(DataLoader(dataset, batch_size=row.batch_size, num_workers=row.workers, drop_last=True))


CONTENDERS: dict[str, Callable[[Row], Step]] = {
    "ours": ours,
    "lightly": lightly,
    "torchvision": torchvision,
    "bare": bare,
}
