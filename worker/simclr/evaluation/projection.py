"""A map of images in two dimensions, with the nearest neighbours of each and a sheet of thumbnails."""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from worker.simclr.augmentation.views import resized
from worker.simclr.randomness import derive_seed, generator

Method = Literal["pca", "tsne", "umap"]
THUMBNAIL = 32
BLOCK = 1024


def choose_images(count: int, wanted: int, seed: int) -> Tensor:
    """``wanted`` of ``count`` images (all where there are fewer), int64 ascending, chosen by the seed."""
    return torch.randperm(count, generator=generator(seed, 0, "projection"))[:wanted].sort().values


def plane(method: Method, features: Tensor, seed: int) -> Tensor:
    """Places (n, 2) of features (n, D), which are scaled to length 1 first: distances are then those of the cosine.

    t-SNE is scikit-learn's, UMAP that of umap-learn; both are given a seed. Raises ImportError where umap-learn is
    not installed.
    """
    x = functional.normalize(features, dim=1)
    if method == "pca":
        return principal_components(x)
    made = _tsne(len(x), seed) if method == "tsne" else _umap(len(x), seed)
    return torch.from_numpy(made.fit_transform(x.cpu().numpy())).float()


def principal_components(features: Tensor) -> Tensor:
    """Coordinates (n, 2) along the two directions of largest variance. Each points where its largest entry is positive."""
    x = (features - features.mean(0)).double()
    _, axes = torch.linalg.eigh(x.T @ x)  # ascending
    axes = axes[:, -2:].flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return (x @ (axes * largest.sign())).float().cpu()


def _tsne(count: int, seed: int) -> Any:
    from sklearn.manifold import TSNE  # late: takes seconds to load

    return TSNE(perplexity=min(30.0, (count - 1) / 3), init="pca", random_state=_numpy_seed(seed))


def _umap(count: int, seed: int) -> Any:
    from umap import UMAP  # late: takes seconds to load, and is not everywhere

    return UMAP(n_neighbors=min(15, count - 1), n_jobs=1, random_state=_numpy_seed(seed))


def _numpy_seed(seed: int) -> int:
    return derive_seed(seed, 0, "projection plane") % 2**32


def nearest(features: Tensor, neighbors: int) -> Tensor:
    """The ``neighbors`` nearest other images of each by cosine similarity, int64 (n, k), nearest first."""
    x = functional.normalize(features, dim=1)
    found: list[Tensor] = []
    for start in range(0, len(x), BLOCK):
        similarity = x[start : start + BLOCK] @ x.T
        similarity.diagonal(start).fill_(-math.inf)
        found.append(similarity.topk(min(neighbors, len(x) - 1), dim=1).indices)
    return torch.cat(found).cpu()


def thumbnail_sheet(pixels: Tensor) -> tuple[Tensor, int, int]:
    """All images of uint8 pixels (n, C, H, W) on one, uint8 (C, rows x side, columns x side), with columns and side.

    Row by row from the top left, in a square as near as can be; a thumbnail has at most 32 pixels a side.
    """
    count, channels, height, width = pixels.shape
    side = min(THUMBNAIL, height, width)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = torch.zeros(rows * columns, channels, side, side, dtype=torch.uint8)
    sheet[:count] = resized(pixels, side).mul(255).round().clamp(0, 255).to(torch.uint8).cpu()
    grid = sheet.view(rows, columns, channels, side, side).permute(2, 0, 3, 1, 4)
    return grid.reshape(channels, rows * side, columns * side), columns, side
