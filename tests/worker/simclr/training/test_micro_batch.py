"""The largest micro-batch is found by trying, and nothing of the trial remains."""

import copy
import dataclasses

import pytest
import torch

from tests.worker.simclr.training.small import RECIPE, new_learner, some_pixels
from worker.simclr.nets.model import SimCLR
from worker.simclr.training.memory import is_out_of_memory, memory_sizes
from worker.simclr.training.micro_batch import halved, largest_divisor, rehearse
from worker.simclr.training.pretraining import pretrain
from worker.simclr.training.team import Team

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.21 GiB is free."
)


@pytest.fixture
def limit(monkeypatch):
    """Sets how many images may pass the net at once."""
    forward = SimCLR.forward

    def of(images, error=None):
        def limited(self, views):
            if len(views) > 2 * images:
                raise error or torch.OutOfMemoryError(CUDA_MESSAGE)
            return forward(self, views)

        monkeypatch.setattr(SimCLR, "forward", limited)

    return of


def all_of(learner):
    return {"model": learner.model.state_dict(), "optimizer": learner.optimizer.state_dict(), "step": learner.step}


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


@pytest.mark.parametrize(
    ("images", "tried"),
    [(256, [256, 128, 64, 32, 16, 8, 4, 2]), (96, [96, 48, 24, 12, 6, 3, 2]), (9, [9, 3]), (7, [7]), (2, [2])],
)
def test_halves_are_divisors_down_to_what_batch_norm_needs(images, tried):
    size, found = images, []
    while size is not None:
        found.append(size)
        size = halved(images, size)
    assert found == tried


def test_a_micro_batch_of_another_share_is_replaced_by_the_largest_that_divides():
    assert largest_divisor(96, 64) == 48
    assert largest_divisor(96, 1000) == 96
    assert largest_divisor(7, 6) is None


@pytest.mark.parametrize(
    ("optimizer", "trained", "room"), [("sgd", True, 8), ("lars", False, 1), ("adamw", True, 1), ("adamw", False, 8)]
)
def test_a_rehearsal_leaves_the_learner_as_it_was_bit_for_bit(limit, optimizer, trained, room):
    learner, pixels = new_learner(optimizer), some_pixels()
    steps = pretrain(learner, pixels, RECIPE)
    for _ in range(3 if trained else 0):
        next(steps)
    untouched = new_learner(optimizer)
    untouched.load_state_dict(copy.deepcopy(all_of(learner)))
    before, drawn = learner.forward, torch.get_rng_state()
    limit(room)
    shortage = rehearse(learner, pixels, RECIPE, Team())
    assert (shortage is None) == (room == 8)
    assert_equal(all_of(learner), all_of(untouched))
    assert learner.forward is before
    assert torch.equal(torch.get_rng_state(), drawn)
    limit(8)
    for one, other in zip(pretrain(learner, pixels, RECIPE), pretrain(untouched, pixels, RECIPE), strict=True):
        assert one.losses == other.losses
    assert_equal(all_of(learner), all_of(untouched))


def test_micro_batches_fit_where_the_whole_does_not(limit):
    limit(2)
    learner, pixels = new_learner(), some_pixels()
    assert rehearse(learner, pixels, RECIPE, Team()) == CUDA_MESSAGE
    assert rehearse(learner, pixels, dataclasses.replace(RECIPE, micro_batch_size=4), Team()) == CUDA_MESSAGE
    assert rehearse(learner, pixels, dataclasses.replace(RECIPE, micro_batch_size=2), Team()) is None


def test_another_error_is_not_taken_for_a_lack_of_memory(limit):
    limit(2, RuntimeError("shapes do not match"))
    learner = new_learner()
    untouched = new_learner()
    with pytest.raises(RuntimeError, match="shapes do not match"):
        rehearse(learner, some_pixels(), RECIPE, Team())
    assert_equal(all_of(learner), all_of(untouched))


def test_a_lack_of_memory_is_known_on_gpu_and_processor_with_its_sizes():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert memory_sizes(caught.value) == ("4000000000000000 bytes", None)
    assert is_out_of_memory(torch.OutOfMemoryError(CUDA_MESSAGE))
    assert memory_sizes(torch.OutOfMemoryError(CUDA_MESSAGE)) == ("2.50 GiB", "1.21 GiB")
    assert is_out_of_memory(MemoryError())
    assert memory_sizes(MemoryError()) == (None, None)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
