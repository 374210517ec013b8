"""CIFAR-10 and CIFAR-100 through torchvision, as packs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from worker.simclr.data.importing import ImportedPack, fit_image
from worker.simclr.data.pack import PackWriter
from worker.simclr.data.sources import ImportRefusedError

_DATASETS: dict[str, Any] = {"cifar10": CIFAR10, "cifar100": CIFAR100}
_ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}


def import_cifar(
    name: str, packs: Path, download_root: Path, *, image_size: int = 32, on_progress: Callable[[float], None]
) -> ImportedPack:
    """Download CIFAR where needed and pack it; raises ImportRefusedError where the network does not allow it."""
    try:
        splits = {
            split: _DATASETS[name](root=str(download_root), train=split == "train", download=True)
            for split in ("train", "test")
        }
    except (OSError, RuntimeError) as error:
        raise ImportRefusedError(
            f"{name} could not be downloaded. Put {_ARCHIVES[name]} from the CIFAR page "
            f"(https://www.cs.toronto.edu/~kriz/cifar.html) into {download_root} and import it again, "
            "or upload the images as a zip with one folder a class."
        ) from error
    classes = tuple(str(label) for label in splits["train"].classes)
    with PackWriter(packs, classes, image_size) as writer:
        total = sum(len(split.targets) for split in splits.values())
        for split, images in splits.items():
            for pixels, label in zip(images.data, images.targets, strict=True):
                writer.add(split, fit_image(Image.fromarray(pixels), image_size), int(label))
                done = sum(map(len, writer.labels.values()))
                if done % 5000 == 0:
                    on_progress(done / total)
        sha256, directory = writer.finish()
    return ImportedPack(
        sha256=sha256,
        directory=directory,
        train_images=len(splits["train"].targets),
        test_images=len(splits["test"].targets),
        classes=classes,
        image_size=image_size,
        channels=3,
        size_bytes=sum(path.stat().st_size for path in directory.iterdir()),
        broken=[],
        broken_total=0,
    )
