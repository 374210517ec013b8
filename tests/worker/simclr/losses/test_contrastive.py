"""The contrastive losses against Table 2 of the paper in float64 loops, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import NTXentLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from pytorch_metric_learning.reducers import MeanReducer

from tests.worker.simclr.losses.references import explained, table_2
from worker.simclr.losses import contrastive
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.losses.rows import loss_and_slope

LOSSES = [
    ("nt_xent", False),
    ("nt_logistic", False),
    ("nt_logistic", True),
    ("margin_triplet", False),
    ("margin_triplet", True),
]
every_loss = pytest.mark.parametrize(("name", "semi_hard"), LOSSES)


def views(images=6, dim=5, seed=0, dtype=torch.float32):
    """z of pairs that resemble each other a little, so that some anchors are won and some are not."""
    z = torch.randn(2 * images, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    z[images:] = z[:images] + z[images:]
    return z


def small_blocks(monkeypatch, rows, candidates):
    monkeypatch.setattr(contrastive, "BLOCK_ELEMENTS", {"cpu": rows * candidates})


@every_loss
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("margin", [0.0, 0.8])
def test_value_and_gradient_are_those_of_table_2_in_a_double_loop(name, semi_hard, normalize, temperature, margin):
    ours, reference = views(dtype=torch.float64).requires_grad_(), views(dtype=torch.float64).requires_grad_()
    result = contrastive_loss(
        ours, name, temperature=temperature, margin=margin, semi_hard=semi_hard, normalize=normalize
    )
    losses = table_2(reference, name, temperature=temperature, margin=margin, mined=semi_hard, normalize=normalize)
    expected = torch.stack(losses).mean()
    result.loss.backward()
    expected.backward()
    torch.testing.assert_close(result.loss.detach(), expected.detach(), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-6, atol=1e-8)


@every_loss
def test_float32_is_the_double_loop_to_float_accuracy(name, semi_hard):
    ours, reference = views().requires_grad_(), views().requires_grad_()
    result = contrastive_loss(ours, name, temperature=0.1, semi_hard=semi_hard)
    expected = torch.stack(table_2(reference, name, temperature=0.1, mined=semi_hard)).mean()
    result.loss.backward()
    expected.backward()
    assert result.loss.dtype == ours.grad.dtype == torch.float32
    torch.testing.assert_close(result.loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-4, atol=1e-6)


@every_loss
@pytest.mark.parametrize("normalize", [True, False])
def test_accuracy_and_entropy_are_those_of_the_similarities_over_the_temperature(name, semi_hard, normalize):
    result = contrastive_loss(views(), name, temperature=0.7, semi_hard=semi_hard, normalize=normalize)
    accuracy, entropy = explained(views(), temperature=0.7, normalize=normalize)
    assert 0 < accuracy < 1
    assert float(result.accuracy) == pytest.approx(accuracy)
    assert float(result.entropy) == pytest.approx(entropy, rel=1e-5)


def labels(z):
    return torch.arange(len(z) // 2).repeat(2)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_that_of_pytorch_metric_learning(temperature):
    ours, theirs = views(32, 16).requires_grad_(), views(32, 16).requires_grad_()
    result = contrastive_loss(ours, temperature=temperature).loss
    expected = NTXentLoss(temperature=temperature)(theirs, labels(theirs))
    result.backward()
    expected.backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("margin", [0.0, 0.4, 1.6])
def test_the_margin_triplet_loss_is_that_of_pytorch_metric_learning_averaged_over_all_triples(margin):
    ours, theirs = views(12, 16).requires_grad_(), views(12, 16).requires_grad_()
    result = contrastive_loss(ours, "margin_triplet", margin=margin).loss
    expected = TripletMarginLoss(margin=margin, distance=CosineSimilarity(), reducer=MeanReducer())(
        theirs, labels(theirs)
    )
    result.backward()
    expected.backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("margin", [0.1, 0.8])
def test_semi_hard_mining_picks_the_triples_that_pytorch_metric_learning_picks(margin):
    """Its miner leaves out anchors without a semi-hard negative, which here count with 0."""
    z = views(12, 4)
    z[12] = 0.1 * z[1] - z[0]  # so far from each other that every negative is closer
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    miner = BatchEasyHardMiner(
        pos_strategy=BatchEasyHardMiner.EASY,
        neg_strategy=BatchEasyHardMiner.SEMIHARD,
        distance=CosineSimilarity(),
    )
    mined = miner(theirs, labels(theirs))
    anchors = len(mined[0])
    assert 12 < anchors < 24  # some have none
    loss = TripletMarginLoss(margin=margin, distance=CosineSimilarity(), reducer=MeanReducer())
    expected = loss(theirs, labels(theirs), mined) * anchors / 24
    result = contrastive_loss(ours, "margin_triplet", margin=margin, semi_hard=True).loss
    result.backward()
    expected.backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["nt_logistic", "margin_triplet"])
def test_an_anchor_without_a_semi_hard_negative_keeps_at_most_its_positives_part(name):
    """The views of an image are almost opposite, those of two images at right angles: every negative is closer."""
    first, aside = torch.eye(4).chunk(2)
    z = torch.cat([first, 0.2 * aside - first]).requires_grad_()
    loss = contrastive_loss(z, name, temperature=0.5, semi_hard=True).loss
    losses = table_2(z, name, temperature=0.5, mined=True)
    assert loss.item() == pytest.approx(sum(losses).item() / 4)
    loss.backward()
    assert (z.grad.abs().sum() > 0) == (name == "nt_logistic")


@every_loss
@pytest.mark.parametrize("rows", [1, 5, 12])
def test_the_size_of_a_block_does_not_show(monkeypatch, name, semi_hard, rows):
    whole, blocks = views().requires_grad_(), views().requires_grad_()
    expected = contrastive_loss(whole, name, semi_hard=semi_hard)
    small_blocks(monkeypatch, rows, candidates=12)
    result = contrastive_loss(blocks, name, semi_hard=semi_hard)
    expected.loss.backward()
    result.loss.backward()
    torch.testing.assert_close(
        torch.stack([result.loss, result.accuracy, result.entropy]),
        torch.stack([expected.loss, expected.accuracy, expected.entropy]),
    )
    torch.testing.assert_close(blocks.grad, whole.grad)


@every_loss
@pytest.mark.parametrize("normalize", [True, False])
def test_what_processes_contribute_with_their_own_anchors_adds_up_to_one_process(
    monkeypatch, name, semi_hard, normalize
):
    """Three processes hold images 0-1, 2-4 and 5: of each both views are anchors, in any order."""
    small_blocks(monkeypatch, 3, candidates=12)
    z = views().requires_grad_()
    whole = contrastive_loss(z, name, semi_hard=semi_hard, normalize=normalize)
    whole.loss.backward()
    shares, gradient = torch.zeros(3), torch.zeros_like(z)
    for anchors in ([0, 1, 6, 7], [2, 3, 4, 8, 9, 10], [11, 5]):
        gathered = views().requires_grad_()
        part = contrastive_loss(gathered, name, semi_hard=semi_hard, normalize=normalize, anchors=torch.tensor(anchors))
        part.loss.backward()
        shares += torch.stack([part.loss.detach(), part.accuracy, part.entropy])
        gradient += gathered.grad
    torch.testing.assert_close(shares, torch.stack([whole.loss.detach(), whole.accuracy, whole.entropy]))
    torch.testing.assert_close(gradient, z.grad)


@every_loss
def test_one_anchor_contributes_its_own_loss_over_2n_and_moves_the_candidates_too(name, semi_hard):
    ours, reference = views(dtype=torch.float64).requires_grad_(), views(dtype=torch.float64).requires_grad_()
    part = contrastive_loss(ours, name, semi_hard=semi_hard, anchors=torch.tensor([4]))
    expected = table_2(reference, name, mined=semi_hard)[4] / 12
    part.loss.backward()
    expected.backward()
    torch.testing.assert_close(part.loss, expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-6, atol=1e-9)
    assert ours.grad[10].abs().sum() > 0


@every_loss
def test_the_gradient_scales_with_what_comes_after_the_loss_and_accumulates(name, semi_hard):
    once, scaled = views().requires_grad_(), views().requires_grad_()
    contrastive_loss(once, name, semi_hard=semi_hard).loss.backward()
    (contrastive_loss(scaled, name, semi_hard=semi_hard).loss * 3).backward()
    contrastive_loss(scaled, name, semi_hard=semi_hard).loss.backward()
    torch.testing.assert_close(scaled.grad, 4 * once.grad)


def test_there_is_no_second_derivative_and_asking_for_it_says_so():
    z = views().requires_grad_()
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(contrastive_loss(z).loss, z, create_graph=True)


def test_the_value_without_gradient_is_the_same():
    z = views()
    with torch.no_grad():
        assert torch.equal(contrastive_loss(z).loss, contrastive_loss(z.requires_grad_()).loss)
    assert not contrastive_loss(views()).loss.requires_grad


@every_loss
def test_neither_accuracy_nor_entropy_carries_a_gradient(name, semi_hard):
    result = contrastive_loss(views().requires_grad_(), name, semi_hard=semi_hard)
    assert result.loss.requires_grad
    assert not result.accuracy.requires_grad
    assert not result.entropy.requires_grad


def test_every_anchor_has_2n_minus_1_candidates_and_gets_no_gradient_from_itself():
    """Orthogonal z: each similarity but that of an anchor with itself is 0, so the loss shows how many there are."""
    z = (10 * torch.eye(10)).requires_grad_()
    loss = contrastive_loss(z, temperature=0.5, normalize=False).loss
    assert loss.item() == pytest.approx(math.log(9))
    loss.backward()
    assert torch.equal(z.grad.diagonal(), torch.zeros(10))
    assert (z.grad + torch.eye(10) != 0).all()  # and every other candidate gives one


def test_similarities_are_not_clamped():
    towards, away = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 0.0])
    z = torch.stack([towards, away, away, towards])  # positives at -1, a negative at 1
    assert contrastive_loss(z, temperature=0.01).loss.item() == pytest.approx(200)


def test_the_loss_is_finite_at_temperature_0_05_with_collapsed_and_with_opposite_views():
    for values in (torch.ones(8, 4), torch.cat([torch.eye(4), -torch.eye(4)])):
        for name, semi_hard in LOSSES:
            z = values.clone().requires_grad_()
            result = contrastive_loss(z, name, temperature=0.05, semi_hard=semi_hard)
            result.loss.backward()
            assert math.isfinite(result.loss.item())
            assert math.isfinite(result.entropy.item())
            assert torch.isfinite(z.grad).all()


def test_a_collapsed_net_wins_no_anchor():
    result = contrastive_loss(torch.ones(8, 4))
    assert result.accuracy == 0
    assert result.loss.item() == pytest.approx(math.log(7))


def test_random_z_cost_about_ln_2n_minus_1_and_have_that_entropy():
    z = torch.randn(512, 1024, generator=torch.Generator().manual_seed(2))
    result = contrastive_loss(z, temperature=1.0)
    assert result.loss.item() == pytest.approx(math.log(511), abs=0.01)
    assert float(result.entropy) == pytest.approx(math.log(511), abs=0.01)


def test_the_loss_is_the_mean_over_both_directions_of_every_pair():
    z = views(3, 3)
    losses = torch.stack(table_2(z, "nt_xent"))
    one_way, other_way = losses[:3].mean(), losses[3:].mean()
    assert abs(one_way - other_way) > 0.01
    assert contrastive_loss(z).loss.item() == pytest.approx(float(one_way + other_way) / 2)


def test_similarities_and_log_sum_exp_are_float32_under_autocast():
    z = torch.randn(64, 128, generator=torch.Generator().manual_seed(4)).bfloat16()
    expected = contrastive_loss(z.float(), temperature=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = z.clone().requires_grad_()
        result = contrastive_loss(ours, temperature=0.1)
        result.loss.backward()
    assert result.loss.dtype == torch.float32
    assert ours.grad.dtype == torch.bfloat16
    assert torch.equal(result.loss, expected.loss)
    unit = torch.nn.functional.normalize(z, dim=1)
    logits = (unit @ unit.T / 0.1).float().fill_diagonal_(-torch.inf)  # what autocast would have made of it
    rounded = torch.nn.functional.cross_entropy(logits, contrastive.positives(64, z.device))
    assert abs(rounded - expected.loss) > 1e-4


def test_products_are_float32_where_the_process_chose_tf32_which_stays_chosen(monkeypatch):
    """TF32 keeps 10 bits; a run on a GPU chooses it for the net."""
    used = []

    def spy(rows, settings):
        used.append(torch.get_float32_matmul_precision())
        return loss_and_slope(rows, settings)

    monkeypatch.setattr(contrastive, "loss_and_slope", spy)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        contrastive_loss(views())
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert used == ["highest"]


@pytest.mark.parametrize("rows", [0, 2, 5])
def test_a_batch_without_negatives_or_with_an_unpaired_view_is_refused(rows):
    with pytest.raises(ValueError, match=f"not {rows}"):
        contrastive_loss(torch.randn(rows, 4))


def test_semi_hard_mining_is_refused_for_nt_xent():
    with pytest.raises(ValueError, match="semi-hard"):
        contrastive_loss(views(), semi_hard=True)
