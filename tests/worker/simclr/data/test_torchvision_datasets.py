"""Well-known datasets: packed as they are from the archives that a person would put there, or told what to put where."""

import gzip
import io
import pickle
import struct
import tarfile
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets.utils
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import STL10

from backend.contracts.datasets import KNOWN_DATASETS
from worker.simclr.data.pack import load_pack
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.torchvision_datasets import KNOWN, import_known

RANDOM = np.random.default_rng(0)


def images(count, side=32, channels=3):
    return RANDOM.integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def tar_gz(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """A folder of downloads without a network; small archives are taken for the true ones."""

    def unreachable(*_args, **_options):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.datasets.utils, "check_md5", lambda *_args, **_options: True)
    monkeypatch.setattr(torchvision.datasets.utils, "_get_redirect_url", unreachable)
    monkeypatch.setattr(torchvision.datasets.utils, "_urlretrieve", unreachable)
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def imported(name, downloads, image_size, **options):
    packs = downloads.parent / "packs"
    return import_known(name, packs, downloads, image_size=image_size, on_progress=lambda _: None, **options)


def cifar10_archive(downloads, pixels):
    files = {"batches.meta": {"label_names": ["airplane", "ship"]}}
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        files[name] = {"data": pixels[2 * number : 2 * number + 2].reshape(2, -1), "labels": [0, 1]}
    tar_gz(
        downloads / "cifar-10-python.tar.gz",
        {f"cifar-10-batches-py/{name}": pickle.dumps(content) for name, content in files.items()},
    )


def test_cifar_10_keeps_pixels_labels_and_classes(downloads):
    pixels = images(12)
    cifar10_archive(downloads, pixels)
    pack = imported("cifar10", downloads, 32)
    dataset = load_pack(pack.directory, verify=True)
    assert (pack.train_counts, pack.test_counts, pack.classes) == ((5, 5), (1, 1), ("airplane", "ship"))
    assert np.array_equal(dataset.train.pixels.numpy(), pixels[:10])
    assert np.array_equal(dataset.test.pixels.numpy(), pixels[10:])
    assert dataset.train.labels.tolist() == [0, 1] * 5


def test_cifar_100_has_the_fine_labels(downloads):
    pixels = images(4)
    files = {
        "meta": {"fine_label_names": ["apple", "whale", "wolf"]},
        "train": {"data": pixels[:3].reshape(3, -1), "fine_labels": [2, 0, 1], "coarse_labels": [0, 0, 0]},
        "test": {"data": pixels[3:].reshape(1, -1), "fine_labels": [1], "coarse_labels": [0]},
    }
    tar_gz(
        downloads / "cifar-100-python.tar.gz",
        {f"cifar-100-python/{name}": pickle.dumps(content) for name, content in files.items()},
    )
    pack = imported("cifar100", downloads, 32)
    assert pack.classes == ("apple", "whale", "wolf")
    assert load_pack(pack.directory).train.labels.tolist() == [2, 0, 1]


def test_stl_10_has_its_unlabelled_images_as_torchvision_reads_them(downloads):
    train, test, unlabelled = images(4, 96), images(2, 96), images(3, 96)
    files = {
        "train_X.bin": train.tobytes(),
        "train_y.bin": bytes([1, 2, 2, 1]),
        "test_X.bin": test.tobytes(),
        "test_y.bin": bytes([2, 1]),
        "unlabeled_X.bin": unlabelled.tobytes(),
        "class_names.txt": b"airplane\nbird\n",
    }
    tar_gz(downloads / "stl10_binary.tar.gz", {f"stl10_binary/{name}": content for name, content in files.items()})
    pack = imported("stl10", downloads, 96)
    dataset = load_pack(pack.directory, verify=True)
    reference = STL10(str(downloads), split="unlabeled")
    assert (pack.train_images, pack.test_images, pack.unlabelled_images) == (4, 2, 3)
    assert pack.classes == ("airplane", "bird")
    assert dataset.train.labels.tolist() == [0, 1, 1, 0]
    assert np.array_equal(dataset.unlabelled.numpy(), reference.data)
    assert np.array_equal(dataset.train.pixels.numpy(), STL10(str(downloads), split="train").data)


def test_svhn_counts_the_digit_0_as_class_0(downloads):
    pixels = images(6)
    for name, first, last in (("train", 0, 4), ("test", 4, 6)):
        digits = np.array([[10], [1], [9], [5]][: last - first], dtype=np.uint8)
        savemat(downloads / f"{name}_32x32.mat", {"X": pixels[first:last].transpose(2, 3, 1, 0), "y": digits})
    pack = imported("svhn", downloads, 32)
    dataset = load_pack(pack.directory, verify=True)
    assert pack.classes == tuple("0123456789")
    assert dataset.train.labels.tolist() == [0, 1, 9, 5]
    assert np.array_equal(dataset.train.pixels.numpy(), pixels[:4])
    assert np.array_equal(dataset.test.pixels.numpy(), pixels[4:])


def fashion_files(downloads, train, test):
    raw = downloads / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, pixels in (("train", train), ("t10k", test)):
        head = struct.pack(">4i", 0x803, len(pixels), 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
        labels = bytes(number % 10 for number in range(len(pixels)))
        content = struct.pack(">2i", 0x801, len(pixels)) + labels
        (raw / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))


def test_fashion_mnist_has_one_channel_or_three_where_they_are_asked_for(downloads):
    train, test = images(5, 28, 1), images(2, 28, 1)
    fashion_files(downloads, train, test)
    grey = load_pack(imported("fashion-mnist", downloads, 28).directory, verify=True)
    assert np.array_equal(grey.train.pixels.numpy(), train)
    assert grey.classes[:2] == ("T-shirt/top", "Trouser")
    colour = load_pack(imported("fashion-mnist", downloads, 28, channels=3).directory, verify=True)
    assert np.array_equal(colour.test.pixels.numpy(), test.repeat(3, axis=1))


@pytest.mark.parametrize(
    ("image_size", "folder"), [(64, "imagenette2-160"), (320, "imagenette2-320"), (400, "imagenette2")]
)
def test_imagenette_is_the_smallest_edition_that_is_large_enough_with_names_for_its_classes(
    downloads, image_size, folder
):
    files = {f"{folder}/noisy_imagenette.csv": b"path"}
    for split in ("train", "val"):
        for number, wnid in enumerate(("n02102040", "n01440764")):
            file = io.BytesIO()
            Image.new("RGB", (20, 30), (100 * number, 0, 0)).save(file, "JPEG")
            files[f"{folder}/{split}/{wnid}/{wnid}_1.JPEG"] = file.getvalue()
    tar_gz(downloads / f"{folder}.tgz", files)
    pack = imported("imagenette", downloads, image_size)
    assert pack.classes == ("tench", "English springer")
    assert (pack.train_counts, pack.test_counts) == ((1, 1), (1, 1))
    train = load_pack(pack.directory).train
    reds = {int(label): int(image[0].max()) for image, label in zip(train.pixels, train.labels, strict=True)}
    assert reds[1] < 10 < reds[0]


@pytest.mark.parametrize(
    ("name", "files", "folder"),
    [
        ("cifar10", ["cifar-10-python.tar.gz"], ""),
        ("cifar100", ["cifar-100-python.tar.gz"], ""),
        ("stl10", ["stl10_binary.tar.gz"], ""),
        ("svhn", ["train_32x32.mat", "test_32x32.mat"], ""),
        ("fashion-mnist", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"], "FashionMNIST/raw"),
        ("imagenette", ["imagenette2-160.tgz"], ""),
    ],
)
def test_without_a_network_the_error_says_which_file_to_put_where(downloads, name, files, folder):
    with pytest.raises(ImportRefusedError) as caught:
        imported(name, downloads, 32)
    assert all(file in str(caught.value) for file in files)
    assert str(downloads / folder) in str(caught.value)
    assert not (downloads.parent / "packs").exists()


def test_every_dataset_that_the_page_offers_can_be_imported():
    assert {known.name for known in KNOWN_DATASETS} == set(KNOWN)
