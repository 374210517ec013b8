"""Colour distortion: against torchvision for the same factors and order, and its draws against the paper."""

import itertools

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from tests.worker.simclr.augmentation.pictures import COUNT, distance_from_uniform, drawn, images
from worker.simclr.augmentation.color import (
    ORDERS,
    Color,
    Grayscale,
    Jitter,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    grayscale,
    jitter,
)

ADJUSTMENTS = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
    reference.adjust_hue,
)


@pytest.mark.parametrize(
    ("ours", "theirs"), list(zip((adjust_brightness, adjust_contrast, adjust_saturation), ADJUSTMENTS, strict=False))
)
def test_brightness_contrast_and_saturation_are_torchvisions(ours, theirs):
    batch, factors = images(), torch.linspace(0, 2, 12)
    for image, factor, result in zip(batch, factors, ours(batch, factors), strict=True):
        torch.testing.assert_close(result, theirs(image, factor.item()), atol=1e-5, rtol=0)


def test_hue_is_torchvisions():
    batch, turns = images(13), torch.linspace(-0.5, 0.5, 13)
    for image, turn, result in zip(batch, turns, adjust_hue(batch, turns), strict=True):
        torch.testing.assert_close(result, reference.adjust_hue(image, turn.item()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_the_hue_of_pure_mixed_and_grey_colours_is_torchvisions(turn):
    """Where two channels are equal, or all three, the cases of the usual formula meet."""
    levels = torch.tensor([0.0, 0.25, 0.5, 1.0])
    colors = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 8, 8)
    ours = adjust_hue(colors, torch.tensor([turn]))
    torch.testing.assert_close(ours, reference.adjust_hue(colors, turn), atol=1e-5, rtol=0)


def test_colour_distortion_is_torchvisions_in_every_order():
    assert sorted(map(tuple, ORDERS.tolist())) == list(itertools.permutations(range(4)))
    batch = images(48)
    parameters = drawn(Color(strength=1.0), 48)
    parameters[:, 4] = torch.arange(48) % 24
    parameters[:, 5] = torch.arange(48) % 5 != 0
    parameters[:, 6] = torch.arange(48) % 4 == 0
    distorted = Color().apply(batch.clone(), parameters, 32)
    for image, (*factors, order, jittered, gray), ours in zip(batch, parameters.tolist(), distorted, strict=True):
        theirs = image
        if jittered:
            for kind in ORDERS[int(order)].tolist():
                theirs = ADJUSTMENTS[kind](theirs, factors[kind])
        if gray:
            theirs = reference.rgb_to_grayscale(theirs, num_output_channels=3)
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_images_that_are_not_jittered_stay_as_they_are():
    batch = images(4)
    factors = torch.tensor([0.5, 0.5, 0.5, 0.3]).expand(4, 4)
    chosen = torch.tensor([True, False, True, False])
    result = jitter(batch.clone(), factors, torch.tensor([0, 1, 23, 7]), chosen)
    assert torch.equal(result[1::2], batch[1::2])
    assert (result[::2] - batch[::2]).abs().amax((1, 2, 3)).min() > 0.1
    assert torch.equal(jitter(batch.clone(), factors, torch.zeros(4, dtype=torch.long), chosen & False), batch)


def test_grey_is_torchvisions_luma_for_colour_images():
    batch = images()
    torch.testing.assert_close(grayscale(batch), reference.rgb_to_grayscale(batch), atol=1e-6, rtol=0)
    gray = Grayscale().apply(batch.clone(), torch.ones(12, 1), 32)
    torch.testing.assert_close(gray, reference.rgb_to_grayscale(batch, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_grey_is_the_mean_of_the_channels_where_they_are_not_three(channels):
    batch = images(channels=channels)
    gray = Grayscale().apply(batch.clone(), torch.ones(12, 1), 32)
    assert gray.shape == batch.shape
    torch.testing.assert_close(gray, batch.double().mean(1, keepdim=True).expand_as(batch).float())


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        (Color(strength=0.5), [0.6, 0.6, 0.6, -0.1], [1.4, 1.4, 1.4, 0.1]),
        (Jitter(strength=1), [0.2, 0.2, 0.2, -0.2], [1.8, 1.8, 1.8, 0.2]),
        (Jitter(strength=0.5, brightness=1.5, hue=0.5), [0, 0.6, 0.6, -0.5], [2.5, 1.4, 1.4, 0.5]),
        (Jitter(brightness=0, contrast=0.1, saturation=0.2, hue=0), [1, 0.9, 0.8, 0], [1, 1.1, 1.2, 0]),
    ],
)
def test_factors_are_uniform_within_the_reaches(op, low, high):
    """Checks line 9: at strength 0.5 the jitter is (0.4, 0.4, 0.4, 0.1)."""
    factors = drawn(op)[:, :4]
    for values, least, most in zip(factors.unbind(1), low, high, strict=True):
        if least == most:
            assert (values == least).all()
        else:
            assert distance_from_uniform(values, least, most) < 1.95


def test_jitter_has_probability_0_8_and_grey_0_2():
    """Checks line 9."""
    parameters = drawn(Color())
    assert parameters[:, 5].mean() == pytest.approx(0.8, abs=0.015)
    assert parameters[:, 6].mean() == pytest.approx(0.2, abs=0.015)
    assert drawn(Jitter(probability=0.3))[:, 5].mean() == pytest.approx(0.3, abs=0.015)
    assert drawn(Grayscale(probability=0.6)).mean() == pytest.approx(0.6, abs=0.015)


def test_the_order_of_the_four_adjustments_is_uniform():
    _, counts = drawn(Color())[:, 4].unique(return_counts=True)
    assert len(counts) == 24
    expected = COUNT / 24
    # chi-squared with 23 degrees of freedom is above 49.7 in one of a thousand
    assert ((counts - expected) ** 2 / expected).sum() < 49.7
