"""Images to transform, and what is measured on draws."""

import torch

from worker.simclr.randomness import generator

COUNT = 20_000
"""Draws of which a distribution is looked at."""


def images(count=12, height=32, width=32, channels=3):
    """Random images in [0, 1]."""
    return torch.rand(count, channels, height, width, generator=generator(1, 0, "test images"))


def pixels(count=12, height=32, width=32, channels=3):
    """Random images of 8-bit levels."""
    return (images(count, height, width, channels) * 255).round().to(torch.uint8)


def eight_bit(batch):
    """``batch`` rounded to the 256 levels, and the same as uint8."""
    levels = (batch * 255).round()
    return levels / 255, levels.to(torch.uint8)


def drawn(op, count=COUNT, height=32, width=32):
    """Parameters (count, k) of ``op``."""
    return op.draw(count, height, width, generator(0, 0, "draws"))


def distance_from_uniform(values, low, high):
    """Largest gap between the values' distribution and the uniform one (Kolmogorov and Smirnov), times sqrt(n).

    Above 1.95 in one of a thousand samples that are uniform.
    """
    ordered = ((values.double() - low) / (high - low)).sort().values
    place = torch.arange(len(ordered), dtype=torch.float64) / len(ordered)
    gap = torch.maximum((ordered - place).abs(), (ordered - place - 1 / len(ordered)).abs()).max()
    return gap.item() * len(ordered) ** 0.5
