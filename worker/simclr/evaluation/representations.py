"""h and z of a dataset by one frozen net: extracted when first asked for, then shared by all that need them."""

from typing import Literal

from torch import Tensor

from worker.simclr.data.dataset import ImageDataset
from worker.simclr.evaluation.features import extract_features, project
from worker.simclr.evaluation.steps import Steps
from worker.simclr.nets.model import SimCLR
from worker.simclr.precision import Precision

Space = Literal["h", "z"]
Split = Literal["train", "test"]


class Representations:
    """The representations of both splits of ``dataset`` by ``model``, of the un-augmented images."""

    def __init__(self, model: SimCLR, dataset: ImageDataset, *, image_size: int, precision: Precision) -> None:
        self.model, self.dataset = model, dataset
        self._image_size = image_size
        self._precision: Precision = precision
        self._h: dict[Split, Tensor] = {}

    def of(self, space: Space, split: Split) -> Steps[Tensor]:
        """h (n, D) or z = g(h) (n, D') of every image of the split, float32; yields the share done."""
        if split not in self._h:
            images = self.dataset.train if split == "train" else self.dataset.test
            self._h[split] = yield from extract_features(
                self.model.encoder, images.pixels, image_size=self._image_size, precision=self._precision
            )
        return self._h[split] if space == "h" else project(self.model.head, self._h[split])
