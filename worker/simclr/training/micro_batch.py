"""Which micro-batches come into question, and whether one fits into memory: found by trying."""

import gc
import io

import torch

from worker.simclr.data.rows import Pixels
from worker.simclr.training.feed import Feed
from worker.simclr.training.memory import is_out_of_memory
from worker.simclr.training.pretraining import Learner, Recipe, step_views, train_step
from worker.simclr.training.team import Team

FEWEST = 2
"""Images that batch normalisation needs at once."""
_STEPS = 2
"""The first step brings the optimiser's state into being, the second has it from the start."""


def largest_divisor(images: int, at_most: int) -> int | None:
    """The largest micro-batch of up to so many images that divides ``images``; None where only 1 would."""
    return next((size for size in range(min(images, at_most), FEWEST - 1, -1) if images % size == 0), None)


def halved(images: int, size: int) -> int | None:
    """The next smaller micro-batch to try: half of ``size`` or less, 2 at the end. None where there is none."""
    return largest_divisor(images, min(size - 1, max(FEWEST, size // 2)))


def rehearse(learner: Learner, pixels: Pixels, recipe: Recipe, team: Team) -> str | None:
    """Why the next step does not fit into memory, in torch's words; None where it does.

    The learner is afterwards as it was, bit for bit. The net is not compiled for it, which would take a minute.
    Ranks of a team rehearse each for itself.
    """
    kept = io.BytesIO()
    torch.save(learner.state_dict(), kept)
    device, compiled = next(learner.model.parameters()).device, learner.forward
    learner.forward, shortage = learner.model, None
    rows = team.share(recipe.batch_size)
    try:
        with (
            team.rehearsal(learner.model) as alone,
            Feed(pixels, recipe.batch_size, recipe.seed, device, rows) as feed,
        ):
            views = step_views(learner.step, feed, recipe)
            for _ in range(_STEPS):
                measured = train_step(learner, views, 0.0, recipe, alone)
                measured.tolist()  # waits for the device
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        shortage = str(error)
    finally:
        learner.forward = compiled
        learner.optimizer.zero_grad(set_to_none=True)
        learner.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), map_location="cpu", weights_only=True))
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return shortage
