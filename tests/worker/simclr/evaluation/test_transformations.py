"""The transformations of Table 3 against torchvision and scipy, and the classifier that tells them apart."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms import functional as torchvision

from tests.worker.conftest import result_of
from worker.simclr.evaluation.transformations import (
    OPS,
    Labelled,
    draw_outcomes,
    mlp_accuracy,
    parameters_of,
    transformed_features,
)
from worker.simclr.nets.encoders import ResNet


@pytest.fixture
def images():
    return torch.rand(8, 3, 10, 10, generator=torch.Generator().manual_seed(0))


def test_outcomes_are_drawn_in_fixed_shares_and_by_the_seed():
    for task, counts in (("color", [80, 20]), ("rotation", [25] * 4), ("corruption", [50, 50]), ("sobel", [50, 50])):
        outcomes = draw_outcomes(task, 100, seed=3)
        assert outcomes.bincount().tolist() == counts
        assert torch.equal(outcomes, draw_outcomes(task, 100, seed=3))
        assert not torch.equal(outcomes, draw_outcomes(task, 100, seed=4))


def applied(images, task, outcomes, seed=0):
    return OPS[task].apply(images.clone(), parameters_of(task, outcomes, seed), images.shape[-1])


def test_outcome_zero_is_the_image_itself(images):
    for task in ("color", "rotation", "corruption", "sobel"):
        assert torch.equal(applied(images, task, torch.zeros(8).long()), images)


def test_each_image_gets_the_transformation_of_its_own_outcome(images):
    outcomes = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    for image, turned, quarter in zip(images, applied(images, "rotation", outcomes), outcomes, strict=True):
        assert torch.equal(turned, torchvision.rotate(image, 90.0 * int(quarter)))
    grey = applied(images, "color", torch.arange(8) % 2)
    torch.testing.assert_close(grey[1::2], torchvision.rgb_to_grayscale(images[1::2], 3), atol=1e-3, rtol=0)
    assert torch.equal(grey[0::2], images[0::2])


def test_noise_is_that_of_pretraining_and_follows_from_the_seed():
    images = torch.full((400, 3, 16, 16), 0.5)
    ones = torch.ones(400).long()
    noisy = applied(images, "corruption", ones)
    strengths = (noisy - images).flatten(1).std(1)
    assert 0.04 < float(strengths.min()) < 0.06
    assert 0.18 < float(strengths.max()) < 0.22
    assert float((noisy - images).mean()) == pytest.approx(0, abs=0.002)
    assert torch.equal(noisy, applied(images, "corruption", ones))
    assert not torch.equal(noisy, applied(images, "corruption", ones, seed=1))


def test_sobel_is_the_length_of_scipys_gradient(images):
    for found, channels in zip(applied(images, "sobel", torch.ones(8).long()), images, strict=True):
        for edges, channel in zip(found, channels.double().numpy(), strict=True):
            across, down = (ndimage.sobel(channel, axis, mode="mirror") for axis in (1, 0))
            np.testing.assert_allclose(edges.numpy(), np.minimum(np.hypot(across, down), 1), atol=1e-5)


def test_features_are_those_of_the_transformed_image(images):
    torch.manual_seed(0)
    encoder = ResNet("resnet18", 0.0625, "stride2")
    pixels = images.mul(255).to(torch.uint8)
    outcomes = torch.arange(8) % 4
    found = result_of(
        transformed_features(encoder, pixels, "rotation", outcomes, image_size=10, precision="fp32", seed=0)
    )
    turned = torch.stack([image.rot90(int(k), (1, 2)) for image, k in zip(pixels.float() / 255, outcomes, strict=True)])
    with torch.no_grad():
        torch.testing.assert_close(found, encoder.eval()(turned))


def test_the_classifier_learns_what_no_linear_one_can_and_guesses_where_there_is_nothing_to_learn():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 2, generator=generator)
    parity = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).long()
    learned = result_of(
        mlp_accuracy(Labelled(x[:2000], parity[:2000]), Labelled(x[2000:], parity[2000:]), outcomes=2, seed=0)
    )
    assert learned > 0.9
    noise = torch.randint(2, (3000,), generator=generator)
    guessed = result_of(
        mlp_accuracy(Labelled(x[:2000], noise[:2000]), Labelled(x[2000:], noise[2000:]), outcomes=2, seed=0)
    )
    assert guessed == pytest.approx(0.5, abs=0.06)
