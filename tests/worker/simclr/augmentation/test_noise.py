"""Gaussian noise: its distribution, its independence, and that a part of a batch gets the noise of the whole."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.worker.simclr.augmentation.pictures import COUNT, distance_from_uniform, drawn, images
from worker.simclr.augmentation.noise import Noise, normal_from_keys


def splitmix64(key, count):
    """The generator as published, in Python's integers: ``count`` words of 64 bits."""
    mask, state, words = 2**64 - 1, key, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        words.append(mixed ^ (mixed >> 31))
    return words


def test_the_numbers_are_the_box_muller_transform_of_splitmix64():
    assert splitmix64(1234567, 2) == [6457827717110365317, 3203168211198807973]  # published test values
    for key in (0, 1234567, 2**48 - 1):
        words = np.array(splitmix64(key, 500), dtype=np.uint64)
        radius = np.sqrt(-2 * np.log(((words >> np.uint64(40)).astype(float) + 0.5) / 2**24))
        angle = 2 * np.pi * ((words >> np.uint64(8)) & np.uint64(2**32 - 1)).astype(float) / 2**32
        theirs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        np.testing.assert_allclose(normal_from_keys(torch.tensor([key]), 1000)[0], theirs, atol=5e-6)
    assert normal_from_keys(torch.tensor([1, 2, 3]), 7).shape == (3, 7)


def test_the_numbers_are_normal_and_independent_within_and_between_images():
    keys = torch.randint(2**48, (200,), generator=torch.Generator().manual_seed(0))
    numbers = normal_from_keys(keys, 3072).double()
    assert stats.kstest(numbers.flatten().numpy()[:100_000], "norm").pvalue > 1e-3
    assert stats.kstest((numbers.std(1) - 1).numpy() * (2 * 3072) ** 0.5, "norm").pvalue > 1e-3
    # The sum over n independent normal pairs of their products has standard deviation sqrt(n).
    halves, neighbours = numbers[:, :1536] * numbers[:, 1536:], numbers[:, 1:] * numbers[:, :-1]
    between = numbers[1:] * numbers[:-1]
    for products in (halves, neighbours, between):
        assert products.sum().abs() / products.numel() ** 0.5 < 3.3


def test_noise_is_added_with_the_images_sigma():
    grey = torch.full((3, 3, 64, 64), 0.5)
    parameters = drawn(Noise(probability=1), 3)
    parameters[:, 0] = torch.tensor([0.02, 0.0, 0.1])
    noise = Noise().apply(grey.clone(), parameters, 64) - 0.5
    assert torch.equal(noise[1], torch.zeros(3, 64, 64))
    for at, sigma in ((0, 0.02), (2, 0.1)):
        values = noise[at].flatten().double()
        assert stats.kstest(values.numpy() / sigma, "norm").pvalue > 1e-3


def test_noisy_images_stay_within_0_and_1():
    noisy = Noise().apply(images(4), drawn(Noise(probability=1, min_sigma=1, max_sigma=1), 4), 32)
    assert noisy.min() == 0
    assert noisy.max() == 1


def test_a_part_of_a_batch_gets_the_noise_of_the_whole():
    batch, parameters = images(8, channels=1), drawn(Noise(), 8)
    whole = Noise().apply(batch.clone(), parameters, 32)
    assert torch.equal(Noise().apply(batch[3:6].clone(), parameters[3:6], 32), whole[3:6])


def test_sigmas_are_uniform_and_keys_differ():
    sigmas, high, low = drawn(Noise(probability=0.3, min_sigma=0.1, max_sigma=0.4)).unbind(1)
    assert (sigmas > 0).float().mean() == pytest.approx(0.3, abs=0.015)
    assert distance_from_uniform(sigmas[sigmas > 0], 0.1, 0.4) < 1.95
    assert len(torch.unique(high.double() * 2**24 + low)) == COUNT
