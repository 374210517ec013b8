"""The training step and the loop around it."""

import dataclasses
import math
import shutil

import pytest
import torch

from tests.worker.simclr.training.small import CPU, RECIPE, new_learner, some_pixels
from worker.simclr.augmentation.views import two_views
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture, build_model
from worker.simclr.training.batches import BatchOrder, train_subset
from worker.simclr.training.optimizers import parameter_groups
from worker.simclr.training.pretraining import DivergedError, Learner, is_reported, pretrain, train_step


@pytest.fixture
def pixels():
    return some_pixels()


def test_an_epoch_visits_every_image_at_most_once_and_drops_the_incomplete_batch():
    order = BatchOrder(images=35, batch_size=8, seed=0)
    epochs = [torch.cat([order.batch(4 * epoch + index) for index in range(4)]) for epoch in range(3)]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch.tolist())) == 32
    assert not torch.equal(epochs[0], epochs[1])
    fresh = BatchOrder(images=35, batch_size=8, seed=0)
    assert torch.equal(fresh.batch(9), order.batch(9))  # without the batches before
    assert not torch.equal(fresh.batch(9), BatchOrder(images=35, batch_size=8, seed=1).batch(9))


def test_a_smaller_subset_is_part_of_a_larger_one():
    assert set(train_subset(100, 10, 0).tolist()) < set(train_subset(100, 20, 0).tolist())


def test_both_views_pass_through_the_net_in_one_forward_of_2n_images(pixels):
    learner = new_learner()
    passed = []
    learner.model.encoder.register_forward_hook(lambda _module, inputs, _output: passed.append(inputs[0].clone()))
    next(pretrain(learner, pixels, RECIPE))
    assert len(passed) == 1
    batch = BatchOrder(35, 8, RECIPE.seed).batch(0)
    views = two_views(pixels[batch], RECIPE.ops, image_size=8, branches="both", seed=RECIPE.seed, step=0)
    assert torch.equal(passed[0], views)


def test_two_forwards_would_have_given_another_gradient(pixels):
    """Why it matters: the batch statistics differ."""
    views = two_views(pixels[:8], RECIPE.ops, image_size=8, branches="both", seed=0, step=0)

    def gradient(passes):
        model = build_model(Architecture(width=0.0625, stem="stride2", output_dim=16), 0, CPU).train()
        z = torch.cat([model(part) for part in views.chunk(passes)])
        contrastive_loss(z).loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    assert torch.cosine_similarity(gradient(1), gradient(2), dim=0) < 0.99


def test_a_step_applies_the_gradient_of_the_loss_once(pixels):
    learner, reference = new_learner(), new_learner()
    views = two_views(pixels[:8], RECIPE.ops, image_size=8, branches="both", seed=0, step=0)
    train_step(learner, lambda _rows: views, 0.1, RECIPE)
    contrastive_loss(reference.model.train()(views)).loss.backward()
    decayed = {id(parameter) for parameter in parameter_groups(reference.model, 1e-4)[0]["params"]}
    for ours, theirs in zip(learner.model.parameters(), reference.model.parameters(), strict=True):
        decay = 1e-4 if id(theirs) in decayed else 0
        expected = theirs.detach() - 0.1 * (theirs.grad + decay * theirs.detach())
        torch.testing.assert_close(ours.detach(), expected, rtol=1e-4, atol=1e-6)


def test_the_optimiser_is_given_the_schedules_rate_at_every_step(pixels):
    learner = new_learner()
    used = []
    learner.optimizer.register_step_pre_hook(
        lambda optimizer, _args, _kwargs: used.append(optimizer.param_groups[0]["lr"])
    )
    reported = [report.metrics[0].values["learning_rate"] for report in pretrain(learner, pixels, RECIPE)]
    # 4 steps an epoch, 12 in all, 2 of warm-up.
    expected = [0.05, 0.1] + [0.05 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert used == pytest.approx(expected)
    assert reported == used


def test_entropy_accuracy_and_rate_are_reported_beside_the_loss(pixels):
    report = next(pretrain(new_learner(), pixels, RECIPE)).metrics[0]
    assert report.values.keys() == {
        "loss",
        "contrastive_accuracy",
        "contrastive_entropy",
        "learning_rate",
        "images_per_second",
    }
    assert 0 < report.values["contrastive_entropy"] <= math.log(15) + 1e-5


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_a_learner_resumed_at_step_k_goes_on_bit_for_bit(pixels, optimizer):
    whole, first = new_learner(optimizer), new_learner(optimizer)
    losses = [report.losses for report in pretrain(whole, pixels, RECIPE)]
    training = pretrain(first, pixels, RECIPE)
    for _ in range(5):  # in the middle of the second epoch
        next(training)
    state = first.state_dict()
    state = {"step": state["step"], **{part: _copied(state[part]) for part in ("model", "optimizer")}}
    list(training)  # the saved state is not that of the learner that went on
    torch.manual_seed(99)  # nor does it depend on anything global

    resumed = new_learner(optimizer)
    resumed.load_state_dict(state)
    assert [report.losses for report in pretrain(resumed, pixels, RECIPE)] == losses[5:]
    for ours, theirs in zip(resumed.model.state_dict().values(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def _copied(state):
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    return state


def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_reported(pixels):
    learner = new_learner()
    with torch.no_grad():
        learner.model.encoder.conv1.weight[0, 0, 0, 0] = math.nan
    with pytest.raises(DivergedError, match="at step 1 of 12"):
        next(pretrain(learner, pixels, RECIPE))


def test_bf16_computes_in_bf16_and_keeps_float32_weights_and_loss(pixels):
    learner = new_learner()
    dtypes = []
    learner.model.encoder.layer1.register_forward_hook(lambda _m, _i, output: dtypes.append(output.dtype))
    reports = list(pretrain(learner, pixels, dataclasses.replace(RECIPE, precision="bf16")))
    assert set(dtypes) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in learner.model.parameters())
    exact = next(pretrain(new_learner(), pixels, RECIPE))
    assert reports[0].losses == pytest.approx(exact.losses, rel=0.02)  # later steps drift apart


def test_a_long_run_is_reported_about_two_thousand_times_and_at_its_last_step():
    for total in (10, 1999, 2001, 123_457):
        reported = [step for step in range(1, total + 1) if is_reported(step, total)]
        assert min(total, 1000) <= len(reported) <= 2001
        assert reported[-1] == total


def test_the_net_of_a_seed_is_always_the_same_and_another_seeds_differs():
    first, again, other = (build_model(Architecture(width=0.0625), seed, CPU) for seed in (0, 0, 1))
    assert torch.equal(first.encoder.conv1.weight, again.encoder.conv1.weight)
    assert not torch.equal(first.encoder.conv1.weight, other.encoder.conv1.weight)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.filterwarnings("default")  # torch's compiler warns of itself
def test_a_compiled_net_takes_the_same_step_and_keeps_the_names_of_its_weights(pixels):
    plain = new_learner()
    compiled = Learner(plain.model, plain.optimizer, compiled=True)
    fresh = new_learner()
    first = next(pretrain(fresh, pixels, RECIPE)).losses
    assert next(pretrain(compiled, pixels, RECIPE)).losses == pytest.approx(first, rel=1e-4)
    assert compiled.model.state_dict().keys() == fresh.model.state_dict().keys()
    for ours, theirs in zip(compiled.model.parameters(), fresh.model.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() <= 1e-2 * theirs.grad.norm() + 1e-6
