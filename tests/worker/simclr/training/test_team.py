"""Two processes that train together compute what one would: run as two real processes under torchrun."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.worker.simclr.training.small import RECIPE, new_learner, some_pixels
from worker.simclr.training.pretraining import pretrain
from worker.simclr.training.team import GlobalBatchNorm, Team

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*command, "-m", "tests.worker.simclr.training.two_ranks", str(folder)], cwd=ROOT, check=True)
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def test_loss_and_gradient_are_those_of_one_process_on_the_same_batch(ranks):
    learner = new_learner()
    first = next(pretrain(learner, some_pixels(), RECIPE))
    for found in ranks:
        assert found["plain"]["losses"][0] == pytest.approx(first.losses, rel=1e-5)
        for ours, parameter in zip(found["plain"]["gradients"], learner.model.parameters(), strict=True):
            assert (ours - parameter.grad).norm() <= 1e-3 * parameter.grad.norm()


def test_a_whole_run_follows_that_of_one_process_and_the_ranks_stay_equal(ranks):
    learner = new_learner()
    losses = [report.losses[0] for report in pretrain(learner, some_pixels(), RECIPE)]
    followed = [one for (one,) in ranks[0]["plain"]["losses"]]
    assert followed[:3] == pytest.approx(losses[:3], rel=1e-3)  # rounding grows from step to step
    assert followed[3:] == pytest.approx(losses[3:], rel=0.2)
    for name in ("plain", "cached"):
        for ours, theirs in zip(*(found[name]["state"].values() for found in ranks), strict=True):
            assert torch.equal(ours, theirs)


def test_running_statistics_are_those_of_all_images(ranks):
    learner = new_learner()
    next(pretrain(learner, some_pixels(), RECIPE))
    for found in ranks:
        for name, value in learner.model.named_buffers():
            torch.testing.assert_close(found["plain"]["buffers"][name], value, rtol=1e-4, atol=1e-6)


def test_every_rank_has_its_own_rows_and_rank_0_decides(ranks):
    assert [found["share"] for found in ranks] == [[0, 4], [4, 8]]
    assert [found["agreed"] for found in ranks] == [5, 5]


def test_the_gather_keeps_views_aligned_and_sums_the_gradients_of_both_ranks(ranks):
    first = [[0.0, 1], [2, 3], [100, 101], [102, 103]]  # of two images a rank
    second = [[4.0, 5], [6, 7], [104, 105], [106, 107]]
    weights = torch.arange(16.0).view(8, 2)
    for rank, found in enumerate(ranks):
        assert found["gathered"].tolist() == first + second
        rows = torch.tensor([0, 1, 4, 5]) + 2 * rank
        assert torch.equal(found["gather_gradient"], 3 * weights[rows])


def test_a_rank_without_room_keeps_none_waiting_and_all_agree_on_what_fits(ranks):
    first, second = (found["rehearsed"] for found in ranks)
    assert first["alone"] == [True, True]
    assert second["alone"] == [False, True]
    for found in (first, second):
        assert found["together"] == [False, True]
        assert found["unchanged"]
        assert found["joined_again"]


def test_a_team_of_one_changes_nothing():
    team, z = Team(), torch.rand(4, 2)
    assert team.gather(z) is z
    assert team.anchors(8, z.device) is None
    assert team.agree(7) == 7
    assert (team.all(True), team.all(False)) == (True, False)
    assert team.share(8) == slice(0, 8)


def test_a_batch_norm_that_cannot_be_replaced_is_refused():
    class Activated(nn.BatchNorm2d):
        pass

    with pytest.raises(ValueError, match="Activated"):
        Team(rank=0, size=2).join(nn.Sequential(nn.Conv2d(3, 4, 1), Activated(4)))


def test_in_evaluation_global_batch_norm_is_batch_norm():
    plain = nn.BatchNorm2d(3).eval()
    plain.running_mean.uniform_()
    ours = GlobalBatchNorm(3).eval()
    ours.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(ours(images), plain(images))
