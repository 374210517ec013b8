"""Packs: named by their content, verified, memory-mapped, complete or not there."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from worker.simclr.data.pack import PackDamagedError, PackWriter, load_pack
from worker.simclr.disk import is_disk_full


def images(count=6, size=8, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def write(packs, *, seed=0, classes=("a", "b"), channels=3, unlabelled=0):
    with PackWriter(packs, classes, 8, channels) as writer:
        for number, image in enumerate(images(seed=seed, channels=channels)):
            writer.add("test" if number < 2 else "train", image, number % 2)
        for image in images(unlabelled, seed=9, channels=channels):
            writer.add("unlabelled", image)
        return writer.finish()


def write_format_1(packs):
    """A pack as the first version wrote it: RGB, no third split, hashed over everything in one go."""
    splits = {"train": images()[2:], "test": images()[:2]}
    digest = hashlib.sha256(json.dumps([1, ["a", "b"], 8]).encode())
    for pixels in splits.values():
        digest.update(np.array([0, 1] * (len(pixels) // 2), dtype="<i8").tobytes())
        digest.update(pixels.tobytes())
    directory = packs / digest.hexdigest()
    directory.mkdir(parents=True)
    for split, pixels in splits.items():
        (directory / f"{split}.bin").write_bytes(pixels.tobytes())
        np.save(directory / f"{split}_labels.npy", np.array([0, 1] * (len(pixels) // 2)))
    description = {"format": 1, "sha256": directory.name, "classes": ["a", "b"], "image_size": 8, "channels": 3}
    counts = {f"{split}_images": len(pixels) for split, pixels in splits.items()}
    (directory / "pack.json").write_text(json.dumps(description | counts))
    return directory


def test_a_pack_gives_back_what_was_written(tmp_path):
    _, directory = write(tmp_path)
    dataset = load_pack(directory, verify=True)
    assert np.array_equal(dataset.test.pixels.numpy(), images()[:2])
    assert np.array_equal(dataset.train.pixels.numpy(), images()[2:])
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.classes == ("a", "b")


def test_the_name_is_the_hash_of_the_content(tmp_path):
    sha256, directory = write(tmp_path / "one")
    assert directory.name == sha256
    assert write(tmp_path / "two")[0] == sha256
    assert write(tmp_path / "two", seed=1)[0] != sha256
    assert write(tmp_path / "two", classes=("a", "c"))[0] != sha256


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_pack_has_any_number_of_channels_and_images_without_labels(tmp_path, channels):
    _, directory = write(tmp_path, channels=channels, unlabelled=4)
    dataset = load_pack(directory, verify=True)
    assert np.array_equal(dataset.train.pixels.numpy(), images(channels=channels)[2:])
    assert np.array_equal(dataset.unlabelled.numpy(), images(4, seed=9, channels=channels))
    assert load_pack(write(tmp_path, channels=channels)[1]).unlabelled is None


def test_the_hash_covers_the_channels_and_the_images_without_labels(tmp_path):
    empty = [PackWriter(tmp_path, ("a",), 8, channels) for channels in (1, 3)]
    assert len({writer.finish()[0] for writer in empty}) == 2
    assert write(tmp_path)[0] != write(tmp_path, unlabelled=1)[0]


def test_a_pack_of_the_first_format_is_read_and_verified(tmp_path):
    directory = write_format_1(tmp_path)
    dataset = load_pack(directory, verify=True)
    assert np.array_equal(dataset.train.pixels.numpy(), images()[2:])
    assert dataset.test.labels.tolist() == [0, 1]
    assert dataset.unlabelled is None
    content = (directory / "train.bin").read_bytes()
    (directory / "train.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PackDamagedError, match="import the dataset again"):
        load_pack(directory, verify=True)


def test_a_pack_of_a_later_format_says_what_to_do(tmp_path):
    _, directory = write(tmp_path)
    description = json.loads((directory / "pack.json").read_text()) | {"format": 3}
    (directory / "pack.json").write_text(json.dumps(description))
    with pytest.raises(PackDamagedError, match="newer version"):
        load_pack(directory)


@pytest.mark.parametrize(
    ("split", "image", "label", "reason"),
    [
        ("train", images(1)[0], None, "needs a label"),
        ("train", images(1, channels=1)[0], 0, "in a pack of"),
        ("unlabelled", images(1, size=9)[0], None, "in a pack of"),
    ],
)
def test_what_does_not_belong_into_the_pack_is_refused(tmp_path, split, image, label, reason):
    with PackWriter(tmp_path, ("a", "b"), 8) as writer, pytest.raises(ValueError, match=reason):
        writer.add(split, image, label)


def test_writing_the_same_pack_again_keeps_the_first(tmp_path):
    _, directory = write(tmp_path)
    before = (directory / "pack.json").stat().st_ino
    write(tmp_path)
    assert (directory / "pack.json").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [directory.name]


def test_a_full_disk_leaves_nothing_of_a_pack(small_disk):
    sha256, directory = write(small_disk)
    with pytest.raises(OSError) as caught, PackWriter(small_disk, ("a",), 64) as writer:  # noqa: PT012 (one is too many)
        for image in images(count=400, size=64):
            writer.add("train", image, 0)
    assert is_disk_full(caught.value)
    assert [path.name for path in small_disk.iterdir()] == [sha256]
    load_pack(directory, verify=True)


@pytest.mark.parametrize("file", ["pack.json", "train.bin", "test_labels.npy"])
def test_writing_a_damaged_pack_again_mends_it(tmp_path, file):
    """What the error tells a person to do must help."""
    _, directory = write(tmp_path)
    (directory / file).write_bytes(b"")
    write(tmp_path)
    assert np.array_equal(load_pack(directory, verify=True).train.pixels.numpy(), images()[2:])
    assert [path.name for path in tmp_path.iterdir()] == [directory.name]


def test_two_imports_of_the_same_images_at_once_give_one_pack(tmp_path):
    start = threading.Barrier(2)

    def one_import(_):
        with PackWriter(tmp_path, ("a", "b"), 8) as writer:
            for number, image in enumerate(images()):
                writer.add("test" if number < 2 else "train", image, number % 2)
            start.wait(timeout=30)
            return writer.finish()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one_import, range(2)))
    assert results[0] == results[1]
    assert [path.name for path in tmp_path.iterdir()] == [results[0][0]]


def test_a_pack_that_is_not_finished_is_not_there(tmp_path):
    with PackWriter(tmp_path, ("a", "b"), 8) as writer:
        writer.add("train", images()[0], 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["train.bin", "test.bin", "unlabelled.bin", "train_labels.npy"])
def test_one_flipped_bit_is_found(tmp_path, file):
    _, directory = write(tmp_path, unlabelled=2)
    content = bytearray((directory / file).read_bytes())
    content[-1] ^= 1
    (directory / file).write_bytes(content)
    with pytest.raises(PackDamagedError, match="import the dataset again"):
        load_pack(directory, verify=True)


@pytest.mark.parametrize("file", ["pack.json", "train.bin", "test_labels.npy"])
def test_a_missing_file_says_what_to_do(tmp_path, file):
    _, directory = write(tmp_path)
    (directory / file).unlink()
    with pytest.raises(PackDamagedError, match="import the dataset again"):
        load_pack(directory)


def test_a_truncated_file_is_refused(tmp_path):
    _, directory = write(tmp_path)
    content = (directory / "train.bin").read_bytes()
    (directory / "train.bin").write_bytes(content[:-1])
    with pytest.raises(PackDamagedError):
        load_pack(directory)


def test_pixels_are_mapped_and_the_file_is_never_changed(tmp_path):
    _, directory = write(tmp_path)
    before = (directory / "train.bin").read_bytes()
    pixels = load_pack(directory).train.pixels
    assert any("train.bin" in line for line in _mapped_files())
    pixels.zero_()
    assert (directory / "train.bin").read_bytes() == before


def _mapped_files():
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system has no /proc to see what is mapped")
    return maps.read_text().splitlines()
