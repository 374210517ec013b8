"""The linear classifier against Newton's method in float64, and the choice of its penalty."""

import pytest
import torch
from torch.autograd.functional import hessian

from tests.worker.conftest import result_of
from worker.simclr.evaluation import linear
from worker.simclr.evaluation.linear import fit, fit_with_chosen_penalty
from worker.simclr.randomness import generator


def three_blobs(count, seed):
    """Features (count, 4) of three classes, overlapping, not centred, of different scales."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = torch.tensor([[0.0, 0.0, 1.0, 0.0], [1.5, 0.0, 0.0, 0.0], [0.0, 1.5, 0.0, 0.0]])
    features = centres[labels] + torch.randn(count, 4, generator=generator)
    return features * torch.tensor([1.0, 10.0, 0.1, 1.0]) + torch.tensor([5.0, 0.0, -3.0, 0.0]), labels


def newton(features, labels, l2):
    """The minimum of mean cross entropy + l2/2 |W|^2 over standardised features, in float64: (objective, logits)."""
    x = features.double()
    x = (x - x.mean(0)) / x.std(0, correction=0)
    count, dim = x.shape

    def objective(flat):
        logits = x @ flat[: 3 * dim].view(dim, 3) + flat[3 * dim :]
        picked = logits[torch.arange(count), labels]
        return (logits.exp().sum(1).log() - picked).mean() + l2 / 2 * (flat[: 3 * dim] ** 2).sum()

    flat = torch.zeros(3 * dim + 3, dtype=torch.float64)
    for _ in range(30):
        gradient = torch.func.grad(objective)(flat)
        flat = flat - torch.linalg.pinv(hessian(objective, flat), hermitian=True) @ gradient
    assert torch.func.grad(objective)(flat).norm() < 1e-9
    return float(objective(flat)), x @ flat[: 3 * dim].view(dim, 3) + flat[3 * dim :], objective


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_the_classifier_minimises_the_objective(l2):
    features, labels = three_blobs(90, 0)
    classifier = result_of(fit(features, labels, classes=3, l2=l2))
    best, logits, objective = newton(features, labels, l2)
    ours = float(objective(torch.cat([classifier.weight.flatten(), classifier.bias]).double()))
    assert best <= ours < best + 1e-4
    assert (classifier.predict(features) == logits.argmax(1)).float().mean() > 0.98


def test_starting_elsewhere_ends_at_the_same_classifier():
    features, labels = three_blobs(90, 0)
    cold = result_of(fit(features, labels, classes=3, l2=1e-2))
    other = result_of(fit(features.flip(1), labels, classes=3, l2=1.0))
    warm = result_of(fit(features, labels, classes=3, l2=1e-2, start=other))
    torch.testing.assert_close(warm.weight, cold.weight, atol=0.02, rtol=0.05)


def test_a_dead_feature_does_no_harm():
    features, labels = three_blobs(60, 1)
    dead = torch.cat([features, torch.full((60, 1), 7.0)], dim=1)
    classifier = result_of(fit(dead, labels, classes=3, l2=1e-2))
    assert torch.isfinite(classifier.weight).all()
    assert torch.equal(classifier.predict(dead), result_of(fit(features, labels, classes=3, l2=1e-2)).predict(features))


def test_the_penalty_is_the_best_on_a_split_of_the_training_set(monkeypatch):
    train = three_blobs(60, 4)
    asked = []
    real_fit = linear.fit
    monkeypatch.setattr(linear, "fit", lambda x, y, **options: asked.append(len(x)) or real_fit(x, y, **options))
    _, l2 = result_of(fit_with_chosen_penalty(*train, classes=3, seed=0))
    assert asked == [48] * len(linear.L2_CANDIDATES) + [60]  # four fifths to choose, then all
    assert l2 in linear.L2_CANDIDATES
    split = torch.randperm(60, generator=generator(0, 0, "linear-split"))
    accuracy = {}
    for candidate in linear.L2_CANDIDATES:
        fitted = result_of(real_fit(train[0][split[12:]], train[1][split[12:]], classes=3, l2=candidate))
        accuracy[candidate] = int((fitted.predict(train[0][split[:12]]) == train[1][split[:12]]).sum())
    assert accuracy[l2] == max(accuracy.values())


def test_the_returned_classifier_is_fitted_on_every_training_image_with_the_chosen_penalty():
    train, (features, labels) = three_blobs(90, 6), three_blobs(37, 7)
    classifier, l2 = result_of(fit_with_chosen_penalty(*train, classes=3, seed=0))
    expected = result_of(fit(*train, classes=3, l2=l2))
    assert torch.equal(classifier.logits(features), expected.logits(features))
    assert (classifier.predict(features) == labels).float().mean() > 0.6
