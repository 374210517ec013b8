"""Import: zips and folders as people have them become packs; what cannot be imported is refused and leaves nothing."""

import io
import random
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from worker.simclr.data import importing
from worker.simclr.data.importing import import_images
from worker.simclr.data.pack import load_pack
from worker.simclr.data.refusal import ImportRefusedError


def picture(seed=0, size=(16, 16), mode="RGB", kind="PNG"):
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def pixels_of(content):
    """The bytes (C, H, W) of a picture that has the size of the pack."""
    return np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1).tobytes()


def flat_files(per_class=5):
    """One folder a class, no train or test."""
    return {
        f"{label}/{number}.png": picture(100 * index + number)
        for index, label in enumerate(("cat", "dog"))
        for number in range(per_class)
    }


def make_zip(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def imported(source, packs, *, image_size=16, on_progress=lambda _: None, **options):
    return import_images(source, packs, image_size=image_size, test_share=0.2, on_progress=on_progress, **options)


def refused(source, packs):
    """The message; and nothing must be left behind."""
    with pytest.raises(ImportRefusedError) as caught:
        imported(source, packs)
    assert not packs.exists() or list(packs.iterdir()) == []
    return str(caught.value)


class TestLayouts:
    def test_train_and_test_folders_are_kept(self, tmp_path):
        files = {f"train/{name}": content for name, content in flat_files(4).items()}
        files |= {f"test/{name}": content for name, content in flat_files(2).items()}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert (pack.train_images, pack.test_images, pack.classes) == (8, 4, ("cat", "dog"))

    @pytest.mark.parametrize("name", ["val", "Valid", "validation", "Test"])
    def test_other_names_of_the_test_folder(self, tmp_path, name):
        files = {f"train/{n}": c for n, c in flat_files(3).items()} | {f"{name}/cat/x.png": picture(9)}
        assert imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs").test_images == 1

    def test_without_test_folder_each_class_is_split_by_the_seed(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", flat_files(10))
        one = imported(source, tmp_path / "packs", split_seed=1)
        dataset = load_pack(one.directory)
        assert dataset.train.labels.bincount().tolist() == [8, 8]
        assert dataset.test.labels.bincount().tolist() == [2, 2]
        assert imported(source, tmp_path / "packs", split_seed=1).sha256 == one.sha256
        assert imported(source, tmp_path / "packs", split_seed=2).sha256 != one.sha256

    def test_a_folder_around_everything_does_not_matter(self, tmp_path):
        plain = imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")
        wrapped = {f"my pets/{name}": content for name, content in flat_files().items()}
        assert imported(make_zip(tmp_path / "b.zip", wrapped), tmp_path / "packs").classes == plain.classes

    def test_dots_and_double_slashes_in_names_do_not_matter(self, tmp_path):
        plain = imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")
        odd = {f"./{name.replace('/', '//')}": content for name, content in flat_files().items()}
        assert imported(make_zip(tmp_path / "b.zip", odd), tmp_path / "packs").classes == plain.classes

    def test_a_zip_and_the_folder_it_was_made_of_give_the_same_pack(self, tmp_path):
        one = imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")
        two = imported(make_folder(tmp_path / "a", flat_files()), tmp_path / "packs")
        assert one.sha256 == two.sha256
        assert [path.name for path in (tmp_path / "packs").iterdir()] == [one.sha256]

    def test_what_macos_and_windows_add_is_no_image(self, tmp_path):
        junk = {"__MACOSX/cat/._0.png": b"x", "cat/.DS_Store": b"x", "cat/Thumbs.db": b"x", "readme.txt": b"x"}
        pack = imported(make_zip(tmp_path / "a.zip", flat_files() | junk), tmp_path / "packs")
        assert (pack.train_images + pack.test_images, pack.broken) == (10, ())

    def test_real_cifar_images(self, cifar10_mini, tmp_path):
        pack = imported(cifar10_mini, tmp_path / "packs", image_size=32)
        assert (pack.train_images, pack.test_images, len(pack.classes)) == (5000, 1000, 10)
        assert load_pack(pack.directory, verify=True).train.labels.bincount().tolist() == [500] * 10


class TestImagesWithoutLabels:
    def test_a_folder_unlabelled_beside_train_and_test_is_the_third_split(self, tmp_path):
        files = {f"train/{name}": content for name, content in flat_files(4).items()}
        files |= {f"test/{name}": content for name, content in flat_files(2).items()}
        files |= {"unlabelled/a.png": picture(50), "unlabelled/deep/er/b.png": picture(51)}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert (pack.train_images, pack.test_images, pack.unlabelled_images) == (8, 4, 2)
        assert pack.classes == ("cat", "dog")
        found = load_pack(pack.directory, verify=True).unlabelled
        assert [image.numpy().tobytes() for image in found] == [pixels_of(picture(50)), pixels_of(picture(51))]

    @pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "Unlabeled"])
    def test_beside_class_folders_and_in_either_spelling(self, tmp_path, name):
        files = flat_files(10) | {f"{name}/{number}.png": picture(number) for number in range(3)}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert (pack.train_images, pack.test_images, pack.unlabelled_images) == (16, 4, 3)

    @pytest.mark.parametrize("prefix", ["", "photos/", "my photos/all/", "unlabelled/", "unlabelled/2019/"])
    def test_images_and_no_class_folder_are_a_dataset_to_pretrain_on(self, tmp_path, prefix):
        files = {f"{prefix}{number}.png": picture(number) for number in range(3)}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert (pack.train_images, pack.test_images, pack.unlabelled_images) == (0, 0, 3)
        dataset = load_pack(pack.directory, verify=True)
        assert dataset.classes == ()
        assert not dataset.has_labels
        assert dataset.unlabelled.shape == (3, 3, 16, 16)


class TestWhatIsFound:
    def test_images_a_class_in_each_split(self, tmp_path):
        files = {f"train/{name}": content for name, content in flat_files(4).items() if name != "cat/3.png"}
        files |= {"test/dog/x.png": picture(9)}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert (pack.train_counts, pack.test_counts) == ((3, 4), (0, 1))

    def test_mean_and_deviation_of_each_channel_over_the_training_images(self, tmp_path):
        pack = imported(make_zip(tmp_path / "a.zip", flat_files(9)), tmp_path / "packs")
        values = load_pack(pack.directory).train.pixels.double() / 255
        assert pack.mean == pytest.approx(values.mean((0, 2, 3)).tolist(), abs=1e-12)
        assert pack.std == pytest.approx(values.std((0, 2, 3), correction=0).tolist(), abs=1e-12)

    def test_classes_and_their_numbers_are_those_of_torchvisions_image_folder(self, tmp_path):
        """ImageNet: train/nXXXXXXXX and val/nXXXXXXXX, with .JPEG files."""
        labels = ("n02102040", "n01440764", "n03000684", "n10565667")
        files = {
            f"{split}/{label}/{label}_{number}.JPEG": picture(number + 10 * index, kind="JPEG")
            for split in ("train", "val")
            for index, label in enumerate(labels)
            for number in range(2)
        }
        folder = make_folder(tmp_path / "imagenet", files)
        dataset = load_pack(imported(folder, tmp_path / "packs").directory)
        for split, images in (("train", dataset.train), ("val", dataset.test)):
            reference = ImageFolder(folder / split)
            assert list(dataset.classes) == reference.classes
            assert images.labels.tolist() == reference.targets
            assert images.pixels[5].numpy().tobytes() == np.asarray(reference[5][0]).transpose(2, 0, 1).tobytes()


class TestPixels:
    def test_images_of_the_right_size_keep_every_pixel_and_their_label(self, tmp_path):
        files = flat_files()
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        dataset = load_pack(pack.directory)
        found = {
            image.numpy().tobytes(): pack.classes[label]
            for split in (dataset.train, dataset.test)
            for image, label in zip(split.pixels, split.labels.tolist(), strict=True)
        }
        expected = {pixels_of(content): name.split("/")[0] for name, content in files.items()}
        assert found == expected


class TestTrouble:
    def test_broken_images_are_named_and_the_others_imported(self, tmp_path):
        files = flat_files() | {"cat/torn.png": picture(7)[:60], "dog/not an image.jpg": b"hello", "dog/empty.png": b""}
        pack = imported(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")
        assert pack.train_images + pack.test_images == 10
        assert sorted(file for file, _ in pack.broken) == ["cat/torn.png", "dog/empty.png", "dog/not an image.jpg"]
        assert all(reason for _, reason in pack.broken)
        assert pack.broken_total == 3

    def test_a_damaged_member_of_a_zip_is_a_broken_image(self, tmp_path):
        path = make_zip(tmp_path / "a.zip", flat_files())
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("cat/3.png")
        content[info.header_offset + 200] ^= 0xFF
        path.write_bytes(content)
        assert [file for file, _ in imported(path, tmp_path / "packs").broken] == ["cat/3.png"]

    def test_a_class_without_a_readable_image(self, tmp_path):
        files = {name: b"no" if name.startswith("dog") else content for name, content in flat_files().items()}
        assert "'dog' has no readable training image" in refused(
            make_zip(tmp_path / "a.zip", files), tmp_path / "packs"
        )

    def test_a_file_that_is_no_zip(self, tmp_path):
        (tmp_path / "a.zip").write_bytes(b"this is text" * 100)
        assert "not a zip file" in refused(tmp_path / "a.zip", tmp_path / "packs")

    def test_a_zip_that_is_cut_off(self, tmp_path):
        path = make_zip(tmp_path / "a.zip", flat_files())
        path.write_bytes(path.read_bytes()[:-50])
        assert "cut off" in refused(path, tmp_path / "packs")

    @pytest.mark.parametrize("name", ["../evil/1.png", "cat/../../evil.png", "/etc/1.png", "C:/cat/1.png", "a\\b.png"])
    def test_names_that_lead_outside(self, tmp_path, name):
        files = flat_files() | {name: picture()}
        assert "forbidden name" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_symbolic_links(self, tmp_path):
        path = make_zip(tmp_path / "a.zip", flat_files())
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link, "/etc/passwd")
        assert "symbolic link" in refused(path, tmp_path / "packs")

    def test_a_link_in_a_folder_is_not_followed(self, tmp_path):
        folder = make_folder(tmp_path / "a", flat_files())
        (tmp_path / "secret.png").write_bytes(picture(99))
        (folder / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
        pack = imported(folder, tmp_path / "packs")
        assert pack.train_images + pack.test_images == 10

    def test_a_zip_bomb_is_a_broken_file(self, tmp_path):
        files = flat_files() | {"cat/bomb.png": bytes(50 << 20)}
        pack = imported(make_zip(tmp_path / "a.zip", files, compression=zipfile.ZIP_DEFLATED), tmp_path / "packs")
        assert pack.broken == (("cat/bomb.png", "suspiciously compressed"),)

    def test_a_damaged_compressed_member_is_a_broken_image_too(self, tmp_path):
        path = make_zip(tmp_path / "a.zip", flat_files(), compression=zipfile.ZIP_DEFLATED)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("cat/3.png")
        start = info.header_offset + 60
        content[start : start + 40] = b"\xff" * 40
        path.write_bytes(content)
        assert [file for file, _ in imported(path, tmp_path / "packs").broken] == ["cat/3.png"]

    def test_train_and_test_folders_without_class_folders(self, tmp_path):
        files = {f"{split}/{number}.png": picture(number) for split in ("train", "test") for number in range(3)}
        assert "no class folder" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_images_beside_the_class_folders(self, tmp_path):
        files = flat_files() | {"stray.png": picture()}
        assert "'stray.png' lies in no class folder" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_only_one_class(self, tmp_path):
        files = {f"train/cat/{number}.png": picture(number) for number in range(3)}
        assert "only one class" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_no_images(self, tmp_path):
        assert "no images" in refused(make_zip(tmp_path / "a.zip", {"cat/a.txt": b"x"}), tmp_path / "packs")

    def test_images_without_labels_that_are_all_broken(self, tmp_path):
        message = refused(make_zip(tmp_path / "a.zip", {"1.png": b"no", "2.png": b"no"}), tmp_path / "packs")
        assert "No image can be read" in message
        assert "1.png: not a readable image" in message

    def test_a_test_class_that_training_does_not_have(self, tmp_path):
        files = {f"train/{n}": c for n, c in flat_files(3).items()} | {"test/fox/x.png": picture(9)}
        assert "fox" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_too_little_room_on_the_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: importing.shutil._ntuple_diskusage(9, 9, 0))
        assert "Make room" in refused(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")

    def test_an_import_that_is_interrupted_leaves_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importing, "_PROGRESS_EVERY", 2)

        def interrupt(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs", on_progress=interrupt)
        assert list((tmp_path / "packs").iterdir()) == []


def test_progress_grows_to_1(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "_PROGRESS_EVERY", 3)
    heard = []
    imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs", on_progress=heard.append)
    assert heard == sorted(heard)
    assert (len(heard), heard[-1]) == (4, 1.0)


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    files = dict(random.Random(0).sample(sorted(flat_files(20).items()), 40))
    source = make_zip(tmp_path / "a.zip", files)
    packs = {imported(source, tmp_path / "packs", processes=processes).sha256 for processes in (1, 3)}
    assert len(packs) == 1
    assert torch.is_tensor(load_pack(next((tmp_path / "packs").iterdir())).train.pixels)
