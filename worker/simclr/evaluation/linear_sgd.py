"""Linear evaluation by the paper's protocol (appendix B.6): SGD on frozen representations of cropped, flipped images.

The classifier is tested on the un-augmented image (the paper's centre crop), with the encoder in eval mode throughout.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from worker.simclr.data.dataset import Images
from worker.simclr.evaluation.features import frozen
from worker.simclr.evaluation.representations import Space
from worker.simclr.evaluation.steps import Steps
from worker.simclr.evaluation.supervised import SupervisedRecipe, train_with_labels, zero_linear
from worker.simclr.nets.model import SimCLR


class Probes(nn.Module):
    """Linear classifiers side by side, each on a representation of its own, through which no gradient flows."""

    def __init__(
        self, represent: Callable[[Tensor], Sequence[Tensor]], dimensions: Sequence[int], classes: int
    ) -> None:
        super().__init__()
        self._represent = represent
        self.classifiers = nn.ModuleList(zero_linear(features, classes) for features in dimensions)

    def forward(self, views: Tensor) -> Tensor:
        """Views (B, C, S, S) to logits (K, B, classes), in float32 whatever the precision of the representation."""
        with torch.no_grad():
            found = [features.float() for features in self._represent(views)]
        with torch.autocast(views.device.type, enabled=False):
            return torch.stack([probe(x) for probe, x in zip(self.classifiers, found, strict=True)])


def train_probes(
    model: SimCLR, images: Images, spaces: Sequence[Space], recipe: SupervisedRecipe, *, classes: int
) -> Steps[dict[Space, nn.Module]]:
    """A linear classifier on each of ``spaces``, all from the same passes through the frozen net."""
    device = next(model.parameters()).device

    def represent(views: Tensor) -> list[Tensor]:
        h = model.encoder(views)
        return [h if space == "h" else model.head(h) for space in spaces]

    with frozen(model):
        with torch.no_grad():
            shown = torch.zeros(1, images.pixels.shape[1], recipe.image_size, recipe.image_size, device=device)
            dimensions = [features.shape[1] for features in represent(shown)]
        probes = Probes(represent, dimensions, classes).to(device)
        yield from train_with_labels(probes, images, recipe)
    return dict(zip(spaces, probes.classifiers, strict=True))
