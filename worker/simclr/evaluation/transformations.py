"""What h and z = g(h) still know of the transformation that was applied to an image (Table 3).

For each task every image gets one of the task's transformations, drawn by the seed in fixed shares; an MLP with one
hidden layer learns from the training images which it was, and is tested on the test images. (The paper says that MLPs
are trained, and not of which size.)
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.simclr.augmentation.color import Grayscale
from worker.simclr.augmentation.noise import Noise
from worker.simclr.augmentation.op import Op
from worker.simclr.augmentation.rotate import Rotate
from worker.simclr.augmentation.sobel import Sobel
from worker.simclr.augmentation.views import resized
from worker.simclr.data.rows import Pixels
from worker.simclr.evaluation.features import encode, project
from worker.simclr.evaluation.steps import Steps
from worker.simclr.precision import Precision
from worker.simclr.randomness import derive_seed, generator
from worker.simclr.training.batches import BatchOrder

Task = Literal["color", "rotation", "corruption", "sobel"]

OPS: dict[Task, Op] = {"color": Grayscale(), "rotation": Rotate(), "corruption": Noise(probability=1), "sobel": Sobel()}
OUTCOMES: dict[Task, int] = {"color": 2, "rotation": 4, "corruption": 2, "sobel": 2}
GRAY_EVERY = 5
"""One image in five is grey, as in the augmentation: the paper's chance level of 80%."""
HIDDEN = 512
EPOCHS = 20
BATCH = 256
LEARNING_RATE = 1e-3


def draw_outcomes(task: Task, count: int, seed: int) -> Tensor:
    """Which transformation each of ``count`` images gets, int64 (count,): in equal shares, but for grey one in five."""
    order = torch.randperm(count, generator=generator(seed, 0, f"{task} outcomes"))
    return (order % GRAY_EVERY == 0).long() if task == "color" else order % OUTCOMES[task]


def parameters_of(task: Task, outcomes: Tensor, seed: int) -> Tensor:
    """What turns images into those of their outcomes, int64 (n,), by the task's augmentation: float32 (n, k).

    Outcome 0 leaves an image as it is. 'color' 1: grey. 'rotation' k: k quarter turns. 'corruption' 1: Gaussian noise,
    of a strength drawn as in pretraining. 'sobel' 1: strength of the edges.
    """
    if task != "corruption":
        return outcomes.float().unsqueeze(1)
    drawn = OPS[task].draw(len(outcomes), 0, 0, generator(seed, 0, "corruption"))
    drawn[:, 0] *= outcomes  # the standard deviation: 0 is no noise
    return drawn


def transformed_features(
    encoder: nn.Module,
    pixels: Pixels,
    task: Task,
    outcomes: Tensor,
    *,
    image_size: int,
    precision: Precision,
    seed: int,
) -> Steps[Tensor]:
    """h (n, D) of uint8 pixels (n, 3, H, W) after their transformation, by the frozen encoder; yields the share done."""
    parameters = parameters_of(task, outcomes, seed)

    def views(part: Tensor, start: int) -> Tensor:
        return OPS[task].apply(resized(part, image_size), parameters[start : start + len(part)], image_size)

    return encode(encoder, pixels, views, precision)


@dataclass(frozen=True)
class Labelled:
    """Features (n, D) with the outcomes (n,) that are to be read from them."""

    features: Tensor
    outcomes: Tensor

    def projected(self, head: nn.Module) -> "Labelled":
        """The same of z = g(h)."""
        return Labelled(project(head, self.features), self.outcomes)


def mlp_accuracy(train: Labelled, test: Labelled, *, outcomes: int, seed: int) -> Steps[float]:
    """Share of all test images whose outcome an MLP tells that was trained on the training images (AdamW, cosine)."""
    mean = train.features.mean(0)
    scale = train.features.std(0, correction=0)
    scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))
    device = train.features.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, 0, "transformation MLP"))
        mlp = nn.Sequential(nn.Linear(len(mean), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outcomes)).to(device)
    x, y = (train.features - mean) / scale, train.outcomes.to(device)
    order = BatchOrder(len(x), min(BATCH, len(x)), seed)
    total = EPOCHS * order.steps_per_epoch
    optimizer = torch.optim.AdamW(mlp.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    for step in range(total):
        chosen = order.batch(step).to(device)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(mlp(x[chosen]), y[chosen]).backward()
        optimizer.step()
        schedule.step()
        yield (step + 1) / total
    with torch.no_grad():
        told = mlp((test.features - mean) / scale).argmax(1)
    return int((told == test.outcomes.to(device)).sum()) / len(test.outcomes)
