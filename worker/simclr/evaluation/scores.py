"""What a classifier's scores say: accuracies as fractions of all images, and who is taken for whom."""

import torch
from torch import Tensor


def top_k(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Share of images whose label (n,) is among the ``k`` highest of their scores (n, C). Every image counts once."""
    best = scores.argmax(1, keepdim=True) if k == 1 else scores.topk(min(k, scores.shape[1]), dim=1).indices
    right = int((best == labels.to(scores.device).unsqueeze(1)).any(1).sum())
    return right / len(labels)


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts int64 (C, C): row t, column p is how many images of class t were taken for class p."""
    pairs = labels.to(predicted.device) * classes + predicted
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def per_class_accuracy(confusion: Tensor) -> list[float | None]:
    """Share of each class that was recognised; None for a class without an image."""
    right, images = confusion.diagonal().tolist(), confusion.sum(1).tolist()
    return [r / n if n else None for r, n in zip(right, images, strict=True)]
