"""Gradient caching gives the loss and gradient of the whole batch, which accumulating gradients does not."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.worker.simclr.training.small import RECIPE, new_learner, some_pixels
from worker.simclr.augmentation.views import two_views
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.training.gradient_cache import micro_batches
from worker.simclr.training.pretraining import pretrain, train_step

MICRO = dataclasses.replace(RECIPE, micro_batch_size=2)


def views_of_first_batch(rows):
    views = two_views(some_pixels()[:8], RECIPE.ops, image_size=8, branches="both", seed=0, step=0)
    return views.unflatten(0, (2, -1))[:, rows].flatten(0, 1)


def freeze_batch_norm(model: nn.Module):
    """Statistics that no batch changes: then how a batch is divided cannot matter."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)
            module.eval()
            module.train = lambda _mode=True, self=module: self


def stepped(recipe, *, frozen):
    learner = new_learner()
    if frozen:
        freeze_batch_norm(learner.model)
    return learner, train_step(learner, views_of_first_batch, 0.1, recipe)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_loss_and_weights_after_a_step_are_those_of_the_plain_step_where_batch_norm_is_frozen(micro_batch_size):
    plain, measured = stepped(RECIPE, frozen=True)
    cached, measured_too = stepped(dataclasses.replace(RECIPE, micro_batch_size=micro_batch_size), frozen=True)
    torch.testing.assert_close(measured_too, measured, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(cached.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_accumulating_the_gradients_of_micro_batches_would_be_another_loss():
    _, whole = stepped(RECIPE, frozen=True)
    model = new_learner().model
    freeze_batch_norm(model)
    parts = [contrastive_loss(model(views_of_first_batch(rows))).loss for rows in micro_batches(slice(0, 8), 2)]
    assert torch.stack(parts).mean() < whole[0] - 0.5  # an image meets 2 negatives instead of 14


def test_the_net_never_sees_more_than_a_micro_batch_and_sees_each_twice():
    learner = new_learner()
    passed = []
    learner.model.encoder.register_forward_hook(lambda _m, inputs, _o: passed.append(inputs[0].clone()))
    train_step(learner, views_of_first_batch, 0.1, MICRO)
    assert [len(views) for views in passed] == [4] * 8
    for first, second in zip(passed[:4], passed[4:], strict=True):
        assert torch.equal(first, second)


def test_batch_norm_follows_each_micro_batch_once():
    learner = new_learner()
    train_step(learner, views_of_first_batch, 0.1, MICRO)
    assert learner.model.encoder.bn1.num_batches_tracked == 4
    reference = new_learner().model.train()
    for rows in micro_batches(slice(0, 8), 2):
        reference(views_of_first_batch(rows))
    torch.testing.assert_close(learner.model.encoder.bn1.running_mean, reference.encoder.bn1.running_mean)
    assert all(m.track_running_stats for m in learner.model.modules() if isinstance(m, _BatchNorm))


def test_a_whole_run_in_micro_batches_learns():
    reports = list(pretrain(new_learner(), some_pixels(), dataclasses.replace(MICRO, epochs=20)))
    assert sum(reports[-1].losses) < sum(reports[0].losses)


def test_the_rows_of_a_batch_are_divided_without_rest():
    assert micro_batches(slice(4, 8), 2) == [slice(4, 6), slice(6, 8)]
    assert micro_batches(slice(0, 8), None) == [slice(0, 8)]
