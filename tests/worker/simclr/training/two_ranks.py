"""What a rank of a team of two does for test_team: ``torchrun --nproc-per-node 2 -m ...two_ranks FOLDER``."""

import copy
import dataclasses
import sys
from pathlib import Path

import torch

from tests.worker.simclr.training.small import CPU, RECIPE, new_learner, some_pixels
from worker.simclr.nets.model import SimCLR
from worker.simclr.training.micro_batch import rehearse
from worker.simclr.training.pretraining import pretrain
from worker.simclr.training.team import GlobalBatchNorm, Team


def main(folder: Path) -> None:
    team = Team.from_environment(CPU)
    found = {"share": [team.share(8).start, team.share(8).stop], "agreed": team.agree(team.rank + 5)}
    for name, micro in (("plain", None), ("cached", 2)):
        learner = new_learner(join=team.join)
        reports = pretrain(learner, some_pixels(), dataclasses.replace(RECIPE, micro_batch_size=micro), team)
        first = next(reports)
        gradients = [parameter.grad.clone() for parameter in learner.model.parameters()]
        buffers = {key: value.clone() for key, value in learner.model.named_buffers()}
        losses = [first.losses, *(report.losses for report in reports)]
        state = learner.model.state_dict()
        found[name] = {"losses": losses, "gradients": gradients, "buffers": buffers, "state": state}
    z = torch.arange(8.0).view(4, 2) + 100 * team.rank
    z.requires_grad_()
    gathered = team.gather(z)
    (gathered * (1 + team.rank) * torch.arange(16.0).view(8, 2)).sum().backward()
    found |= {"gathered": gathered.detach(), "gather_gradient": z.grad}
    found["rehearsed"] = rehearse_with_little_room_on_rank_1(team)
    torch.save(found, folder / f"rank{team.rank}.pt")
    team.leave()


def rehearse_with_little_room_on_rank_1(team: Team) -> dict[str, object]:
    learner, forward = new_learner(join=team.join), SimCLR.forward
    before = copy.deepcopy(learner.model.state_dict())

    def limited(self: SimCLR, views: torch.Tensor) -> torch.Tensor:
        if team.rank == 1 and len(views) > 2 * 2:
            raise torch.OutOfMemoryError("for the test")
        return forward(self, views)

    SimCLR.forward = limited
    shortages = [
        rehearse(learner, some_pixels(), dataclasses.replace(RECIPE, micro_batch_size=size), team) for size in (4, 2)
    ]
    SimCLR.forward = forward
    after = learner.model.state_dict()
    return {
        "alone": [shortage is None for shortage in shortages],
        "together": [team.all(shortage is None) for shortage in shortages],
        "unchanged": all(torch.equal(before[name], after[name]) for name in before),
        "joined_again": any(isinstance(module, GlobalBatchNorm) for module in learner.model.modules()),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
