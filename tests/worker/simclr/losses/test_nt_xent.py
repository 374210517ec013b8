"""NT-Xent against equation 1 of the paper, written as the double loop it is, in float64."""

import math

import pytest
import torch

from worker.simclr.losses.nt_xent import nt_xent, nt_xent_logits


def double_loop(z, temperature):
    """Equation 1 in float64 with no vectorised step: (loss, entropy of the softmax, share of anchors won)."""
    z = z.double()
    n = len(z)
    losses, entropies, won = [], [], []
    for i in range(n):
        similarity = {k: torch.dot(z[i], z[k]) / (z[i].norm() * z[k].norm()) / temperature for k in range(n) if k != i}
        assert len(similarity) == n - 1  # 2N - 1 candidates
        j = (i + n // 2) % n
        denominator = sum(torch.exp(value) for value in similarity.values())
        losses.append(-torch.log(torch.exp(similarity[j]) / denominator))
        shares = [float((torch.exp(value) / denominator).detach()) for value in similarity.values()]
        entropies.append(-sum(share * math.log(share) for share in shares))
        won.append(all(similarity[j] > value for k, value in similarity.items() if k != j))
    return torch.stack(losses).mean(), sum(entropies) / n, sum(won) / n


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
def test_nt_xent_equals_the_double_loop_of_equation_1_in_value_and_gradient(temperature):
    z = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    z[6:] = z[:6] + 0.5 * z[6:]  # so that some anchors are won and some are not
    ours, reference = z.clone().requires_grad_(), z.double().requires_grad_()
    result = nt_xent(ours, temperature)
    loss, entropy, accuracy = double_loop(reference, temperature)
    result.loss.backward()
    loss.backward()
    torch.testing.assert_close(result.loss.double(), loss.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad.double(), reference.grad, rtol=1e-4, atol=1e-6)
    assert float(result.entropy) == pytest.approx(entropy, rel=1e-4)
    assert 0 < accuracy < 1
    assert float(result.accuracy) == pytest.approx(accuracy)


def test_every_anchor_has_2n_minus_1_candidates_and_the_diagonal_gets_no_gradient():
    z = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    logits = nt_xent_logits(z, 0.5)
    logits.retain_grad()
    assert torch.equal(torch.isfinite(logits), ~torch.eye(10, dtype=torch.bool))
    torch.logsumexp(logits, dim=1).sum().backward()
    assert torch.equal(logits.grad.diagonal(), torch.zeros(10))
    assert (logits.grad + torch.eye(10) > 0).all()  # and every other candidate gets one


def test_similarities_are_not_clamped():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    logits = nt_xent_logits(z, 0.01)
    assert logits[0, 2] == pytest.approx(100)
    assert logits[0, 1] == pytest.approx(-100)


def test_nt_xent_is_finite_at_temperature_0_05_with_collapsed_and_with_opposite_views():
    for z in (torch.ones(8, 4), torch.cat([torch.eye(4), -torch.eye(4)])):
        z.requires_grad_()
        loss = nt_xent(z, 0.05).loss
        loss.backward()
        assert math.isfinite(loss.item())
        assert torch.isfinite(z.grad).all()


def test_random_z_cost_about_ln_2n_minus_1_and_have_that_entropy():
    z = torch.randn(512, 1024, generator=torch.Generator().manual_seed(2))
    result = nt_xent(z, 1.0)
    assert result.loss.item() == pytest.approx(math.log(511), abs=0.01)
    assert float(result.entropy) == pytest.approx(math.log(511), abs=0.01)


def test_the_loss_is_the_mean_over_both_directions_of_every_pair():
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
    swapped = torch.cat([z[3:], z[:3]])
    torch.testing.assert_close(nt_xent(z, 0.5).loss, nt_xent(swapped, 0.5).loss)
    one_way = torch.stack([-nt_xent_logits(z, 0.5).log_softmax(dim=1)[i, i + 3] for i in range(3)]).mean()
    other_way = torch.stack([-nt_xent_logits(z, 0.5).log_softmax(dim=1)[i + 3, i] for i in range(3)]).mean()
    torch.testing.assert_close(nt_xent(z, 0.5).loss, (one_way + other_way) / 2)


def test_similarities_and_log_sum_exp_are_float32_under_autocast():
    z = torch.randn(64, 128, generator=torch.Generator().manual_seed(4))
    expected = nt_xent(z.bfloat16().float(), 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = nt_xent_logits(z.bfloat16(), 0.1)
        result = nt_xent(z.bfloat16(), 0.1)
    assert (logits.dtype, result.loss.dtype) == (torch.float32, torch.float32)
    off_diagonal = ~torch.eye(64, dtype=torch.bool)
    torch.testing.assert_close(logits[off_diagonal], nt_xent_logits(z.bfloat16().float(), 0.1)[off_diagonal])
    torch.testing.assert_close(result.loss, expected.loss)
    unit = torch.nn.functional.normalize(z.bfloat16(), dim=1)
    rounded = (unit @ unit.T / 0.1).float()  # what autocast would have made of it
    assert (logits - rounded)[off_diagonal].abs().max() > 0.01


@pytest.mark.parametrize("rows", [0, 2, 5])
def test_a_batch_without_negatives_or_with_an_unpaired_view_is_refused(rows):
    with pytest.raises(ValueError, match=f"not {rows}"):
        nt_xent(torch.randn(rows, 4), 0.5)
