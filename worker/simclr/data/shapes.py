"""Rendered shapes: a dataset that needs no download and shows the paper's colour shortcut (section 3.1).

The class is the form. Colours, texture, place and size are drawn per image, so they say nothing about the class, but
two crops of one image share them: a net that is trained on crops alone can tell images apart by colour and learns
little about form.
"""

import math

import torch

from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.randomness import generator

CLASSES = ("circle", "ring", "square", "triangle", "star", "cross", "stripes", "checkers", "crescent", "heart")

# Tuned so that the starter study tells crop, colour and crop + colour apart within a minute a run on two cores.
_SMALLEST, _LARGEST = 0.75, 0.95
_ROTATION = 20
_LUMA_CONTRAST, _COLOR_DRAWS = 0.18, 32
_TEXTURE_STRENGTH, _TEXTURE_CELLS = 0.3, 12


def render_shapes(
    image_size: int = 32, seed: int = 0, train_images: int = 5000, test_images: int = 1000
) -> ImageDataset:
    """Render the dataset: pixels uint8 (N, 3, image_size, image_size), classes equally often. Same seed, same bytes."""
    return ImageDataset(
        train=_render_split(train_images, image_size, generator(seed, 0, "shapes train")),
        test=_render_split(test_images, image_size, generator(seed, 0, "shapes test")),
        classes=CLASSES,
    )


def _render_split(count: int, size: int, rng: torch.Generator) -> Images:
    labels = (torch.arange(count) % len(CLASSES))[torch.randperm(count, generator=rng)]
    chunks = [_render(chunk, size, rng) for chunk in labels.split(1000)]
    return Images(pixels=torch.cat(chunks), labels=labels)


def _render(labels: torch.Tensor, size: int, rng: torch.Generator) -> torch.Tensor:
    """Pixels uint8 (N, 3, size, size) of shapes with the given ``labels`` (N,)."""
    count = len(labels)
    x, y = _object_coordinates(count, size, rng)
    inside = torch.zeros(count, size, size)
    for label in range(len(CLASSES)):
        chosen = labels == label
        # Half a pixel of blur along the edge: distance in object units times pixels per unit.
        inside[chosen] = (0.5 - _signed_distance(label, x[chosen], y[chosen]) * size * 0.35).clamp(0, 1)
    ground, figure = _colors(count, rng)
    pixels = torch.lerp(ground, figure, inside.unsqueeze(1)) + _texture(count, size, rng)
    pixels += 0.02 * torch.randn(pixels.shape, generator=rng)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def _object_coordinates(count: int, size: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates (N, size, size) in which every shape fills about the unit disc: drawn place, size and rotation."""
    grid = (torch.arange(size) + 0.5) / size * 2 - 1
    place, angle = torch.rand(2, count, 1, 1, generator=rng), torch.rand(count, 1, 1, generator=rng)
    scale = _SMALLEST + (_LARGEST - _SMALLEST) * torch.rand(count, 1, 1, generator=rng)
    centre_x, centre_y = (place - 0.5) * 2 * (1 - scale)
    turn = (angle - 0.5) * math.radians(_ROTATION)
    x, y = (grid.view(1, 1, -1) - centre_x) / scale, (grid.view(1, -1, 1) - centre_y) / scale
    return x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()


def _colors(count: int, rng: torch.Generator) -> torch.Tensor:
    """Colours of ground and figure (2, N, 3, 1, 1): random, but apart in luma, so that the form survives grey-scale."""
    drawn = torch.rand(2, _COLOR_DRAWS, count, 3, generator=rng)
    luma = drawn @ torch.tensor([0.299, 0.587, 0.114])
    apart = (luma[0] - luma[1]).abs() >= _LUMA_CONTRAST
    first = apart.int().argmax(0)
    return drawn[:, first, torch.arange(count)].unsqueeze(-1).unsqueeze(-1)


def _texture(count: int, size: int, rng: torch.Generator) -> torch.Tensor:
    """Smooth noise (N, 1, size, size), by which views of one image that are not cropped know each other."""
    coarse = torch.randn(count, 1, _TEXTURE_CELLS, _TEXTURE_CELLS, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    return _TEXTURE_STRENGTH * smooth


def _signed_distance(label: int, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """About the distance to the form's edge in object units, negative inside."""
    radius = torch.sqrt(x * x + y * y)
    angle = torch.atan2(x, -y)
    disc = radius - 0.95
    match CLASSES[label]:
        case "circle":
            return disc
        case "ring":
            return torch.maximum(disc, 0.5 - radius)
        case "square":
            return torch.maximum(x.abs(), y.abs()) - 0.8
        case "triangle":
            return torch.maximum(y - 0.65, x.abs() * 0.866 - 0.5 * y - 0.45)
        case "star":
            return radius - (0.65 + 0.3 * torch.cos(5 * angle))
        case "cross":
            return torch.minimum(
                torch.maximum(x.abs() - 0.3, y.abs() - 0.95), torch.maximum(y.abs() - 0.3, x.abs() - 0.95)
            )
        case "stripes":
            return torch.maximum(disc, 0.25 * torch.sin(3 * math.pi * y))
        case "checkers":
            return torch.maximum(disc, 0.3 * torch.sin(2 * math.pi * x) * torch.sin(2 * math.pi * y))
        case "crescent":
            return torch.maximum(disc, 0.75 - torch.sqrt((x - 0.45) ** 2 + y * y))
        case _:
            lifted = y * -1.1 + 0.25
            return (x * x + (lifted - 0.55 * x.abs().sqrt()) ** 2) - 0.7
