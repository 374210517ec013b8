"""CIFAR through torchvision: packed as it is, or an error that says how to bring the files."""

from urllib.error import URLError

import numpy as np
import pytest

from worker.simclr.data import torchvision_datasets as cifar
from worker.simclr.data.pack import load_pack
from worker.simclr.data.sources import ImportRefusedError
from worker.simclr.data.torchvision_datasets import import_cifar


class TinyCifar:
    """What torchvision's CIFAR10 offers, with 6 and 4 images."""

    classes = ("airplane", "ship")

    def __init__(self, *, root, train, download):
        rng = np.random.default_rng(int(train))
        count = 6 if train else 4
        self.data = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        self.targets = [number % 2 for number in range(count)]


def test_images_labels_and_classes_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(cifar._DATASETS, "cifar10", TinyCifar)
    pack = import_cifar("cifar10", tmp_path / "packs", tmp_path, on_progress=lambda _: None)
    assert (pack.train_images, pack.test_images, pack.classes) == (6, 4, ("airplane", "ship"))
    train = load_pack(pack.directory).train
    expected = TinyCifar(root="", train=True, download=False)
    assert np.array_equal(train.pixels.numpy(), expected.data.transpose(0, 3, 1, 2))
    assert train.labels.tolist() == expected.targets


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("File not found or corrupted.")])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_without_network_it_says_which_file_to_put_where(tmp_path, monkeypatch, name, error):
    def unreachable(**_):
        raise error

    monkeypatch.setitem(cifar._DATASETS, name, unreachable)
    with pytest.raises(ImportRefusedError) as caught:
        import_cifar(name, tmp_path / "packs", tmp_path / "downloads", on_progress=lambda _: None)
    archive = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}[name]
    assert archive in str(caught.value)
    assert str(tmp_path / "downloads") in str(caught.value)
    assert not (tmp_path / "packs").exists()
