"""Alignment, uniformity and effective rank against their formulas in float64, and what collapse looks like."""

import math

import numpy as np
import pytest
import torch

from worker.simclr.evaluation import geometry
from worker.simclr.evaluation.geometry import alignment, effective_rank, find_collapse, spread, uniformity


def points(count, dimensions, seed=0):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) + 0.3


def unit(rows):
    return [row / math.sqrt(sum(x * x for x in row)) for row in rows.double().numpy()]


def test_alignment_is_the_mean_squared_distance_of_normalised_pairs():
    first, second = points(13, 5), points(13, 5, 1) * 4
    expected = np.mean([((a - b) ** 2).sum() for a, b in zip(unit(first), unit(second), strict=True)])
    assert alignment(first, second) == pytest.approx(expected, rel=1e-5)
    assert alignment(first, 3 * first) == pytest.approx(0, abs=1e-6)


def test_uniformity_is_the_log_of_the_mean_potential_of_all_pairs(monkeypatch):
    monkeypatch.setattr(geometry, "BLOCK", 4)  # 13 = 3 * 4 + 1
    x = points(13, 5)
    rows = unit(x)
    pairs = [math.exp(-2 * ((rows[i] - rows[j]) ** 2).sum()) for i in range(13) for j in range(i)]
    assert uniformity(x) == pytest.approx(math.log(np.mean(pairs)), rel=1e-5)


def test_the_effective_rank_is_exp_of_the_entropy_of_the_singular_values_of_centred_features():
    x = points(40, 6) * torch.tensor([1.0, 1.0, 0.5, 0.1, 3.0, 0.0]) + 7
    values = np.linalg.svd(x.double().numpy() - x.double().numpy().mean(0), compute_uv=False)
    shares = values[values > 1e-12] / values.sum()
    assert effective_rank(x) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-4)


def test_the_effective_rank_counts_directions_that_are_used_alike():
    corners = torch.eye(6)[:, :4].repeat(50, 1)[torch.arange(300) % 6 < 4]  # four directions, equally often
    assert effective_rank(corners) == pytest.approx(3, rel=1e-3)  # four points span three dimensions
    line = torch.linspace(-1, 1, 50).unsqueeze(1) * torch.ones(1, 8)
    assert effective_rank(line) == pytest.approx(1, rel=1e-3)
    assert effective_rank(torch.ones(50, 8)) == 0


def test_the_spread_is_one_on_an_even_sphere_and_zero_in_a_point():
    sphere = torch.randn(20_000, 32, generator=torch.Generator().manual_seed(0))
    assert spread(sphere) == pytest.approx(1, abs=0.01)
    assert spread(torch.ones(50, 32)) == pytest.approx(0, abs=1e-6)


def test_collapse_is_told_from_a_representation_that_is_merely_narrow():
    generator = torch.Generator().manual_seed(0)
    h, z = torch.rand(200, 64, generator=generator), torch.randn(200, 16, generator=generator)
    narrow = 5 + 0.1 * h  # cosine similarities above 0.99, as in an untrained net, but of full rank
    assert not find_collapse(h, z).is_collapsed
    assert not find_collapse(narrow, z).is_collapsed
    one_point = torch.ones(200, 16) + 1e-3 * z
    assert find_collapse(h, one_point).is_collapsed
    one_line = torch.rand(200, 1, generator=generator) * torch.ones(1, 64)
    collapse = find_collapse(one_line, z)
    assert collapse.is_collapsed
    assert collapse.warning.startswith(
        "The representation has collapsed: images can hardly be told apart (effective rank"
    )
