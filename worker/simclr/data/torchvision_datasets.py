"""Well-known datasets through torchvision, as packs: downloaded where the network allows, or from files put there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100, STL10, SVHN, FashionMNIST, Imagenette

from worker.simclr.data.decoding import fit_image
from worker.simclr.data.imported import ImportedPack, finished
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import PackWriter
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.survey import Channels

_PROGRESS_EVERY = 5000


@dataclass(frozen=True)
class Arrays:
    """A dataset as arrays: images uint8 (N, H, W) or (N, H, W, 3), which may be mapped from a file, and labels (N,)."""

    classes: tuple[str, ...]
    train: tuple[npt.NDArray[np.uint8], Sequence[int]]
    test: tuple[npt.NDArray[np.uint8], Sequence[int]]
    unlabelled: npt.NDArray[np.uint8] | None = None

    def __iter__(self) -> Iterator[tuple[str, npt.NDArray[np.uint8], int | None]]:
        """Each image with its split and label."""
        for split, (images, labels) in (("train", self.train), ("test", self.test)):
            for pixels, label in zip(images, labels, strict=True):
                yield split, pixels, int(label)
        for pixels in () if self.unlabelled is None else self.unlabelled:
            yield "unlabelled", pixels, None

    def __len__(self) -> int:
        return len(self.train[1]) + len(self.test[1]) + (0 if self.unlabelled is None else len(self.unlabelled))


def _cifar10(root: Path) -> Arrays:
    return _from_train_and_test([CIFAR10(str(root), train=train, download=True) for train in (True, False)])


def _cifar100(root: Path) -> Arrays:
    return _from_train_and_test([CIFAR100(str(root), train=train, download=True) for train in (True, False)])


def _fashion_mnist(root: Path) -> Arrays:
    return _from_train_and_test([FashionMNIST(str(root), train=train, download=True) for train in (True, False)])


def _from_train_and_test(splits: list[Any]) -> Arrays:
    train, test = ((np.asarray(split.data), [int(label) for label in split.targets]) for split in splits)
    return Arrays(tuple(map(str, splits[0].classes)), train, test)


def _svhn(root: Path) -> Arrays:
    splits = [SVHN(str(root), split=split, download=True) for split in ("train", "test")]
    train, test = ((np.moveaxis(split.data, 1, -1), split.labels.tolist()) for split in splits)
    return Arrays(tuple("0123456789"), train, test)


def _stl10(root: Path) -> Arrays:
    splits: list[Any] = [STL10(str(root), split=split, download=True) for split in ("train", "test")]
    train, test = ((np.moveaxis(split.data, 1, -1), split.labels.tolist()) for split in splits)
    # torchvision would read the 2.8 GB without labels into memory; a file of images (3, width, height) can be mapped.
    pixels = np.memmap(root / STL10.base_folder / "unlabeled_X.bin", dtype=np.uint8, mode="r")
    return Arrays(tuple(splits[0].classes), train, test, pixels.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1))


@dataclass(frozen=True)
class _Known:
    """How a dataset is loaded, and what a person without a network puts where, below the folder of downloads."""

    load: Callable[[Path], Arrays]
    files: str
    page: str
    folder: str = ""


_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_ARRAYS = {
    "cifar10": _Known(_cifar10, CIFAR10.filename, _CIFAR_PAGE),
    "cifar100": _Known(_cifar100, CIFAR100.filename, _CIFAR_PAGE),
    "stl10": _Known(_stl10, STL10.filename, "https://cs.stanford.edu/~acoates/stl10/"),
    "svhn": _Known(_svhn, "train_32x32.mat and test_32x32.mat", "http://ufldl.stanford.edu/housenumbers/"),
    "fashion-mnist": _Known(
        _fashion_mnist,
        " and ".join(name for name, _ in FashionMNIST.resources),
        "https://github.com/zalandoresearch/fashion-mnist",
        "FashionMNIST/raw",
    ),
}
_IMAGENETTE = "imagenette"
_IMAGENETTE_PAGE = "https://github.com/fastai/imagenette"
KNOWN = (*_ARRAYS, _IMAGENETTE)
"""Names of the datasets that can be imported by name."""


def import_known(
    name: str,
    packs: Path,
    downloads: Path,
    *,
    image_size: int,
    channels: Channels = "auto",
    on_progress: Callable[[float], None],
) -> ImportedPack:
    """Download a dataset of ``KNOWN`` into ``downloads`` where it is not there yet, and pack it.

    Raises ImportRefusedError, which says what to put where, if the network does not allow it.
    """
    if name == _IMAGENETTE:
        return _import_imagenette(packs, downloads, image_size, channels, on_progress)
    known = _ARRAYS[name]
    try:
        arrays = known.load(downloads)
    except (OSError, RuntimeError) as error:
        raise _unreachable(name, known.files, known.page, downloads / known.folder) from error
    if channels == "auto":
        channels = 1 if arrays.train[0].ndim == 3 else 3
    mode = "L" if channels == 1 else "RGB"
    with PackWriter(packs, arrays.classes, image_size, channels) as writer:
        for done, (split, pixels, label) in enumerate(arrays, 1):
            image = Image.fromarray(np.ascontiguousarray(pixels))
            writer.add(split, fit_image(image.convert(mode), image_size), label)
            if done % _PROGRESS_EVERY == 0:
                on_progress(done / len(arrays))
        return finished(writer)


def _import_imagenette(
    packs: Path, downloads: Path, image_size: int, channels: Channels, on_progress: Callable[[float], None]
) -> ImportedPack:
    """The smallest edition whose shorter side is not below ``image_size``, imported like a person's folder."""
    size, folder = ("160px", "imagenette2-160") if image_size <= 160 else ("320px", "imagenette2-320")
    if image_size > 320:
        size, folder = "full", "imagenette2"
    try:
        found = Imagenette(str(downloads), size=size, download=not (downloads / folder).exists())
    except (OSError, RuntimeError) as error:
        raise _unreachable(_IMAGENETTE, f"{folder}.tgz", _IMAGENETTE_PAGE, downloads) from error
    return import_images(
        downloads / folder,
        packs,
        image_size=image_size,
        channels=channels,
        test_share=0.2,  # of no meaning: it has a folder val
        class_names={number: names[0] for number, names in zip(found.wnids, found.classes, strict=True)},
        on_progress=on_progress,
    )


def _unreachable(name: str, files: str, page: str, folder: Path) -> ImportRefusedError:
    return ImportRefusedError(
        f"{name} could not be downloaded. Put {files} from {page} into {folder} and import it again, or upload the "
        "images as a zip with one folder a class."
    )
