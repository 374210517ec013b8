"""From a config's dataset to images."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from backend.contracts.config import DatasetConfig
from worker import datasets
from worker.datasets import load_dataset
from worker.simclr.data.pack import PackWriter


def test_shapes_need_no_data_and_are_rendered_at_the_configs_size(tmp_path):
    dataset, identity = load_dataset(DatasetConfig(name="shapes", image_size=16), None, packs=tmp_path)
    assert dataset.train.pixels.shape[2:] == (16, 16)
    assert identity is None


def test_any_other_dataset_without_images_says_how_to_give_them(tmp_path):
    with pytest.raises(ValueError, match="--data with a zip or folder"):
        load_dataset(DatasetConfig(name="mine"), None, packs=tmp_path)


@pytest.mark.parametrize(("name", "asked", "imported"), [("stl10", 64, 96), ("cifar10", 32, 32), ("svhn", 48, 48)])
def test_a_known_dataset_is_imported_by_its_name_at_its_own_size_or_a_larger_one(
    tiny_pack, tmp_path, monkeypatch, name, asked, imported
):
    calls = []

    def import_known(*args, **options):
        calls.append((args, options["image_size"]))
        return SimpleNamespace(directory=write_pack(tmp_path, options["image_size"]))

    monkeypatch.setattr(datasets, "import_known", import_known)
    dataset, _ = load_dataset(DatasetConfig(name=name, image_size=asked), None, packs=tmp_path / "packs")
    assert calls == [((name, tmp_path / "packs", tmp_path / "downloads"), imported)]
    assert dataset.train.pixels.shape[-1] == imported


def write_pack(packs, image_size):
    with PackWriter(packs, ("a",), image_size) as writer:
        writer.add("train", np.zeros((3, image_size, image_size), np.uint8), 0)
        return writer.finish()[1]


def test_a_pack_is_known_by_its_hash(tiny_pack, tmp_path):
    dataset, identity = load_dataset(DatasetConfig(name="tiny", image_size=8), tiny_pack, packs=tmp_path)
    assert len(dataset.train) == 64
    assert identity == tiny_pack.name


def test_a_pack_of_smaller_images_than_the_config_asks_for_is_refused(tiny_pack, tmp_path):
    with pytest.raises(ValueError, match="imported at 8 pixels"):
        load_dataset(DatasetConfig(name="tiny", image_size=9), tiny_pack, packs=tmp_path)


def test_a_zip_is_imported_once_and_found_again(tmp_path):
    source = tmp_path / "images.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for label, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
            for index in range(5):
                file = io.BytesIO()
                Image.new("RGB", (8, 8 + index), colour).save(file, "PNG")
                archive.writestr(f"{label}/{index}.png", file.getvalue())
    config = DatasetConfig(name="mine", image_size=8)
    dataset, identity = load_dataset(config, source, packs=tmp_path / "packs")
    assert dataset.classes == ("blue", "red")
    assert len(dataset.train) + len(dataset.test) == 10
    assert load_dataset(config, source, packs=tmp_path / "packs")[1] == identity
    assert [path.name for path in (tmp_path / "packs").iterdir()] == [identity]
