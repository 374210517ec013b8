"""Training with labels: the update against its formula in float64, what each step sees, and that it learns."""

import dataclasses

import pytest
import torch
from torch import nn

from tests.worker.conftest import result_of
from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.augmentation.views import one_view, two_views
from worker.simclr.data.dataset import Images
from worker.simclr.evaluation.features import extract_features
from worker.simclr.evaluation.supervised import (
    CROP_AND_FLIP,
    Classifier,
    SupervisedRecipe,
    side_by_side,
    train_with_labels,
    zero_linear,
)
from worker.simclr.nets.encoders import ResNet
from worker.simclr.randomness import generator
from worker.simclr.training.pretraining import DivergedError

RECIPE = SupervisedRecipe(
    name="the test",
    ops=(),
    image_size=8,
    epochs=3,
    batch_size=16,
    base_learning_rate=1.6,
    weight_decay=0.01,
    precision="fp32",
    seed=5,
)


class Pixels(nn.Module):
    """A linear classifier on the pixels: its gradient can be written down."""

    def __init__(self):
        super().__init__()
        self.linear = zero_linear(3 * 8 * 8, 3)

    def forward(self, views):
        return self.linear(views.flatten(1))


def test_the_update_is_nesterov_sgd_with_a_cosine_from_the_scaled_rate_and_decay_of_weights_only(tiny_images):
    net = Pixels()
    result_of(train_with_labels(net, tiny_images.train, RECIPE))

    x, labels = tiny_images.train.pixels.double().flatten(1) / 255, tiny_images.train.labels
    weight, bias = torch.zeros(3, 192, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    steps = 3 * 4
    for step in range(steps):
        order = torch.randperm(64, generator=generator(RECIPE.seed, step // 4, "order"))
        batch = order[step % 4 * 16 :][:16]
        wrong = torch.softmax(x[batch] @ weight.T + bias, 1) - nn.functional.one_hot(labels[batch], 3)
        gradients = [wrong.T @ x[batch] / 16 + 0.01 * weight, wrong.mean(0)]
        rate = 1.6 * 16 / 256 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps, dtype=torch.float64)))
        for parameter, v, gradient in zip((weight, bias), velocity, gradients, strict=True):
            v.mul_(0.9).add_(gradient)
            parameter.sub_(rate * (gradient + 0.9 * v))
    torch.testing.assert_close(net.linear.weight.double(), weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net.linear.bias.double(), bias, atol=1e-5, rtol=1e-4)


def test_every_step_sees_new_crops_which_follow_from_the_seed_and_the_step(tiny_images):
    def seen(seed):
        views = []
        net = Pixels()
        net.register_forward_hook(lambda _module, inputs, _output: views.append(inputs[0].clone()))
        result_of(train_with_labels(net, tiny_images.train, dataclasses.replace(RECIPE, ops=CROP_AND_FLIP, seed=seed)))
        return views

    first, again, other = seen(1), seen(1), seen(2)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert len({view.numpy().tobytes() for view in first}) == 12


def test_a_view_is_the_first_of_the_two_that_pretraining_would_give(tiny_images):
    pixels, options = tiny_images.train.pixels[:5], {"image_size": 10, "seed": 3, "step": 7}
    ops = (Crop(), Flip(), Color())
    one = one_view(pixels, ops, **options)
    assert torch.equal(one, two_views(pixels, ops, branches="both", **options)[:5])


def test_fine_tuning_augments_by_crop_and_flip_only():
    assert (Crop(1.0, 0.08, 1.0, 3 / 4, 4 / 3), Flip(0.5)) == CROP_AND_FLIP


def test_a_classifier_learns_and_keeps_learning_its_encoder(tiny_images):
    torch.manual_seed(0)
    net = Classifier(ResNet("resnet18", 0.0625, "stride2"), 32, 3)
    before = net.encoder.conv1.weight.clone()
    result_of(train_with_labels(net, tiny_images.train, dataclasses.replace(RECIPE, epochs=15, ops=(Flip(),))))
    assert not torch.equal(net.encoder.conv1.weight, before)
    logits = result_of(extract_features(net, tiny_images.train.pixels, image_size=8, precision="fp32"))
    assert (logits.argmax(1) == tiny_images.train.labels).float().mean() > 0.9


def test_with_fewer_images_than_a_batch_all_of_them_make_one(tiny_images):
    few = Images(tiny_images.train.pixels[:6], tiny_images.train.labels[:6])
    sizes = []
    net = Pixels()
    net.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    result_of(train_with_labels(net, few, RECIPE))
    assert sizes == [6, 6, 6]


def test_classifiers_side_by_side_get_the_gradient_that_each_had_alone():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 4, generator=rng, requires_grad=True)
    labels = torch.randint(4, (9,), generator=rng)
    side_by_side(logits, labels).backward()
    for number in range(2):
        alone = logits[number].detach().requires_grad_()
        nn.functional.cross_entropy(alone, labels).backward()
        torch.testing.assert_close(logits.grad[number], alone.grad)


def test_a_diverging_training_says_whose_learning_rate_to_lower(tiny_images):
    torch.manual_seed(0)
    net = Classifier(ResNet("resnet18", 0.0625, "stride2"), 32, 3)
    with pytest.raises(DivergedError, match=r"The loss of the test became .*: lower its learning_rate"):
        result_of(train_with_labels(net, tiny_images.train, dataclasses.replace(RECIPE, base_learning_rate=1e30)))
