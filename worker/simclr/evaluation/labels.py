"""A class-balanced share of the labels, for semi-supervised learning (appendix B.5, Table 7)."""

import torch
from torch import Tensor

from worker.simclr.randomness import generator


def labels_per_class(images: int, share: float, classes: int) -> int:
    """Labels that each class keeps of ``images`` training images: the same number for all."""
    return round(share * images / classes)


def class_balanced(labels: Tensor, share: float, *, classes: int, seed: int) -> Tensor:
    """Images that keep their label, int64 ascending: ``labels_per_class`` of each class, or all where it has fewer.

    Chosen by the seed; smaller shares are part of larger ones. Raises ValueError where a class would keep none.
    """
    count = labels_per_class(len(labels), share, classes)
    if count == 0:
        raise ValueError(f"A share of {share:g} of {len(labels)} images leaves no label to each of {classes} classes.")
    chosen: list[Tensor] = []
    for label in range(classes):
        members = (labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(members), generator=generator(seed, label, "label share"))
        chosen.append(members[order.to(members.device)[:count]])
    return torch.cat(chosen).sort().values
