"""Import: zips and folders as people have them become packs; what cannot be imported is refused and leaves nothing."""

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from worker.simclr.data import importing
from worker.simclr.data.importing import decode_image, import_images
from worker.simclr.data.pack import load_pack
from worker.simclr.data.sources import ImportRefusedError

MINI = Path(__file__).parents[5] / "shared" / "data" / "cifar10-mini.zip"


def picture(seed=0, size=(16, 16), mode="RGB", kind="PNG"):
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


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

    def test_a_zip_and_the_folder_it_was_made_of_give_the_same_pack(self, tmp_path):
        one = imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")
        two = imported(make_folder(tmp_path / "a", flat_files()), tmp_path / "packs")
        assert one.sha256 == two.sha256
        assert [path.name for path in (tmp_path / "packs").iterdir()] == [one.sha256]

    def test_what_macos_and_windows_add_is_no_image(self, tmp_path):
        junk = {"__MACOSX/cat/._0.png": b"x", "cat/.DS_Store": b"x", "cat/Thumbs.db": b"x", "readme.txt": b"x"}
        pack = imported(make_zip(tmp_path / "a.zip", flat_files() | junk), tmp_path / "packs")
        assert (pack.train_images + pack.test_images, pack.broken) == (10, [])

    @pytest.mark.skipif(not MINI.exists(), reason="needs ../shared/data/cifar10-mini.zip, which is not part of this")
    def test_real_cifar_images(self, tmp_path):
        pack = imported(MINI, tmp_path / "packs", image_size=32)
        assert (pack.train_images, pack.test_images, len(pack.classes)) == (5000, 1000, 10)
        assert load_pack(pack.directory, verify=True).train.labels.bincount().tolist() == [500] * 10


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
        expected = {
            np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1).tobytes(): name.split("/")[0]
            for name, content in files.items()
        }
        assert found == expected

    @pytest.mark.parametrize(
        ("mode", "kind"), [("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("1", "PNG"), ("LA", "PNG")]
    )
    def test_every_kind_of_image_becomes_rgb(self, mode, kind):
        pixels = decode_image(picture(mode=mode, kind=kind, size=(20, 30)), 16)
        assert (pixels.shape, pixels.dtype) == ((3, 16, 16), np.uint8)

    def test_what_is_transparent_becomes_white(self):
        file = io.BytesIO()
        Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(file, "PNG")
        assert (decode_image(file.getvalue(), 8) == 255).all()

    def test_16_bit_grey_keeps_its_contrast(self):
        file = io.BytesIO()
        Image.fromarray(np.linspace(0, 60_000, 64).astype(np.uint16).reshape(8, 8)).save(file, "PNG")
        pixels = decode_image(file.getvalue(), 8)
        assert (pixels.min(), pixels.max()) == (0, 255)

    def test_an_image_is_turned_as_its_exif_says(self):
        image = Image.new("RGB", (8, 8), "black")
        image.paste("white", (0, 0, 8, 4))  # the upper half
        exif = Image.Exif()
        exif[0x0112] = 3  # turned by 180 degrees
        file = io.BytesIO()
        image.save(file, "PNG", exif=exif)
        assert (decode_image(file.getvalue(), 8)[:, 4:] == 255).all()

    def test_the_middle_of_a_wide_image_is_kept(self):
        image = Image.new("RGB", (48, 16), "black")
        image.paste("white", (16, 0, 32, 16))
        file = io.BytesIO()
        image.save(file, "PNG")
        assert (decode_image(file.getvalue(), 16) == 255).all()


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
        assert pack.broken == [("cat/bomb.png", "suspiciously compressed")]

    def test_an_image_of_too_many_pixels_is_a_broken_file(self, monkeypatch):
        monkeypatch.setattr(importing, "MAX_PIXELS", 100)
        with pytest.raises(ValueError, match="megapixels"):
            decode_image(picture(), 16)

    def test_no_class_folders(self, tmp_path):
        files = {f"{number}.png": picture(number) for number in range(3)}
        assert "no class folder" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_only_one_class(self, tmp_path):
        files = {f"cat/{number}.png": picture(number) for number in range(3)}
        assert "only one class" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_no_images(self, tmp_path):
        assert "no images" in refused(make_zip(tmp_path / "a.zip", {"cat/a.txt": b"x"}), tmp_path / "packs")

    def test_a_test_class_that_training_does_not_have(self, tmp_path):
        files = {f"train/{n}": c for n, c in flat_files(3).items()} | {"test/fox/x.png": picture(9)}
        assert "fox" in refused(make_zip(tmp_path / "a.zip", files), tmp_path / "packs")

    def test_too_little_room_on_the_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: importing.shutil._ntuple_diskusage(9, 9, 0))
        assert "Make room" in refused(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs")

    def test_an_import_that_is_interrupted_leaves_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importing, "_CHUNK", 2)

        def interrupt(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs", on_progress=interrupt)
        assert list((tmp_path / "packs").iterdir()) == []


def test_progress_grows_to_1(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "_CHUNK", 3)
    heard = []
    imported(make_zip(tmp_path / "a.zip", flat_files()), tmp_path / "packs", on_progress=heard.append)
    assert heard == sorted(heard)
    assert (len(heard), heard[-1]) == (4, 1.0)


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path):
    files = dict(random.Random(0).sample(sorted(flat_files(20).items()), 40))
    source = make_zip(tmp_path / "a.zip", files)
    packs = {imported(source, tmp_path / "packs", processes=threads).sha256 for threads in (1, 4)}
    assert len(packs) == 1
    assert torch.is_tensor(load_pack(next((tmp_path / "packs").iterdir())).train.pixels)
