"""Nothing of the (2N, 2N) matrix is kept for the backward pass, and little of it is there at any time."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from worker.simclr.losses import contrastive
from worker.simclr.losses.contrastive import contrastive_loss, positives

ROWS, DIM = 4096, 8
SQUARE = ROWS * ROWS * 4
"""Bytes of the similarity matrix in float32: 64 MiB."""
LOSSES = [
    ("nt_xent", False),
    ("nt_logistic", False),
    ("nt_logistic", True),
    ("margin_triplet", False),
    ("margin_triplet", True),
]


def at_once(z):
    """NT-Xent as it is usually written, over the whole matrix."""
    unit = functional.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    return functional.cross_entropy((unit @ unit.T / 0.5).masked_fill(itself, -torch.inf), positives(ROWS, z.device))


def kept_elements(loss):
    """Elements of the largest tensor that is kept between the forward and the backward pass."""
    sizes = [0]
    with saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor):
        loss(torch.randn(ROWS, DIM, requires_grad=True)).backward()
    return max(sizes)


def peak_bytes(loss):
    """The most memory that a forward and backward pass hold at once, by the profiler's count of allocations."""
    z = torch.randn(ROWS, DIM, requires_grad=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss(z).backward()
    now, peak = 0, 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@pytest.mark.parametrize(("name", "semi_hard"), LOSSES)
def test_no_square_of_the_batch_is_kept_for_the_backward_pass(name, semi_hard):
    assert kept_elements(lambda z: contrastive_loss(z, name, semi_hard=semi_hard).loss) == ROWS * DIM


@pytest.mark.parametrize(("name", "semi_hard"), LOSSES)
def test_the_peak_is_a_fraction_of_the_similarity_matrix(name, semi_hard):
    assert 0 < peak_bytes(lambda z: contrastive_loss(z, name, semi_hard=semi_hard).loss) < 0.8 * SQUARE


def test_the_peak_is_that_of_a_few_blocks(monkeypatch):
    block = SQUARE // 64
    monkeypatch.setattr(contrastive, "BLOCK_ELEMENTS", {"cpu": block // 4})
    assert block < peak_bytes(lambda z: contrastive_loss(z).loss) < 7 * block


def test_the_usual_way_keeps_the_square_and_needs_it_several_times_over():
    """That the two checks above can fail."""
    assert kept_elements(at_once) == ROWS * ROWS
    assert peak_bytes(at_once) > 3 * SQUARE
