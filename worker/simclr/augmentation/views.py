"""From uint8 images to the two views of a step. Every random number follows from (seed, step, operation, view)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from worker.simclr.augmentation.crop import Crop, Flip, resize
from worker.simclr.augmentation.op import Op
from worker.simclr.randomness import generator

Branches = Literal["both", "one"]

CACHED_BYTES = 3 * 2**20
"""On the CPU so much of a batch is augmented at once that what an operation leaves is still in the cache for the next."""

SHARED: tuple[Op, ...] = (Crop(), Flip())
"""What both views have in common in the asymmetric setting."""

Drawn = tuple[tuple[Op, Tensor], ...]
"""Operations, each with the parameters (views, N, k) of a batch's images."""


@dataclass(frozen=True)
class ViewPlan:
    """What was drawn for the two views of a whole batch: the views of any of its rows can be made from it."""

    shared: Drawn
    ops: Drawn
    branches: Branches
    image_size: int

    def views(self, pixels: Tensor, rows: slice) -> Tensor:
        """The views of ``pixels`` uint8 (n, C, H, W), which are the ``rows`` of the batch (start and stop given).

        Returns float32 (2n, C, S, S) in [0, 1] in channels-last layout: n first views, then n second ones.
        """
        count, channels = pixels.shape[:2]
        size = self.image_size
        result = torch.empty(2, count, size, size, channels, device=pixels.device).permute(0, 1, 4, 2, 3)
        at_once = count if pixels.device.type != "cpu" else max(1, CACHED_BYTES // (8 * pixels[:1].numel()))
        for begin in range(0, count, at_once):
            end = min(begin + at_once, count)
            part = slice(rows.start + begin, rows.start + end)
            images = pixels[begin:end].float().mul_(1 / 255)
            result[:, begin:end] = self._pair(images, part).unflatten(0, (2, end - begin))
        return result.flatten(0, 1)

    def _pair(self, images: Tensor, rows: slice) -> Tensor:
        """First and second views (2n, C, S, S) of ``images`` float (n, C, H, W)."""
        if self.branches == "both":
            return self._transformed(images.repeat(2, 1, 1, 1), self.ops, rows)
        second = self._transformed(images, self.shared, rows)
        return torch.cat([self._transformed(second.clone(), self.ops, rows), second])

    def _transformed(self, images: Tensor, drawn: Drawn, rows: slice) -> Tensor:
        for op, parameters in drawn:
            images = op.apply(images, parameters[:, rows].flatten(0, 1), self.image_size)
        return resize(images, self.image_size)


def plan_views(
    ops: Sequence[Op],
    *,
    batch_size: int,
    height: int,
    width: int,
    image_size: int,
    branches: Branches,
    seed: int,
    step: int,
) -> ViewPlan:
    """Draw the parameters of a batch of ``batch_size`` images of height x width pixels, per image and per view.

    With ``branches`` "one" (the asymmetric setting of Figure 5) both views are the same random crop, flipped or not;
    ``ops`` then transform the first view only and the second stays as it is. That the crop is shared the paper says
    by "t(x) = x", and its figures show it: colour distortion alone gives 18.8% there, crop and colour 56.3%.
    """
    shape = (height, width)
    shared: list[tuple[Op, Tensor]] = []
    if branches == "one":
        for op in SHARED:
            rng = generator(seed, step, f"both views, {type(op).__name__}")
            shared.append((op, op.draw(batch_size, *shape, rng).unsqueeze(0)))
            shape = op.output_shape(*shape, image_size)
    drawn: list[tuple[Op, Tensor]] = []
    for number, op in enumerate(ops):
        rngs = [generator(seed, step, f"view {view}, operation {number}") for view in (1, 2)]
        views = rngs if branches == "both" else rngs[:1]
        drawn.append((op, torch.stack([op.draw(batch_size, *shape, rng) for rng in views])))
        shape = op.output_shape(*shape, image_size)
    return ViewPlan(tuple(shared), tuple(drawn), branches, image_size)


def two_views(
    pixels: Tensor,
    ops: Sequence[Op],
    *,
    image_size: int,
    branches: Branches,
    seed: int,
    step: int,
    rows: slice | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """Two views of each image (section 2.1 of the paper).

    ``pixels`` uint8 (n, C, H, W); returns float32 (2n, C, image_size, image_size) in [0, 1] on the same device, in
    channels-last layout: rows 0..n-1 are the first views, rows n..2n-1 the second views of the same images. ``pixels``
    are a whole batch, or the ``rows`` of one of ``batch_size`` images: they get the views that the whole would give
    them. For ``branches`` see ``plan_views``.
    """
    plan = plan_views(
        ops,
        batch_size=batch_size or len(pixels),
        height=pixels.shape[2],
        width=pixels.shape[3],
        image_size=image_size,
        branches=branches,
        seed=seed,
        step=step,
    )
    return plan.views(pixels, rows or slice(0, len(pixels)))


def one_view(pixels: Tensor, ops: Sequence[Op], *, image_size: int, seed: int, step: int) -> Tensor:
    """One view of each image, for training with labels: the first of those that ``two_views`` gives with both branches.

    ``pixels`` uint8 (n, C, H, W); returns float32 (n, C, image_size, image_size) in [0, 1].
    """
    images = pixels.float().mul_(1 / 255)
    shape = (pixels.shape[2], pixels.shape[3])
    for number, op in enumerate(ops):
        drawn = op.draw(len(pixels), *shape, generator(seed, step, f"view 1, operation {number}"))
        images = op.apply(images, drawn, image_size)
        shape = op.output_shape(*shape, image_size)
    return resize(images, image_size)


def resized(pixels: Tensor, image_size: int) -> Tensor:
    """``pixels`` uint8 (N, C, H, W) as float32 (N, C, image_size, image_size) in [0, 1], not augmented."""
    return resize(pixels.float() / 255, image_size)
