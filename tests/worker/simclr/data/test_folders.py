"""Folders on the server: what is no plain file below them is left out, and the import says so."""

import os

import pytest

from tests.worker.simclr.data.test_importing import flat_files, imported, make_folder, picture, refused
from worker.simclr.data import folders
from worker.simclr.data.folders import Folder
from worker.simclr.data.refusal import ImportRefusedError


def test_links_are_left_out_wherever_they_lead_and_the_import_says_so(tmp_path):
    folder = make_folder(tmp_path / "a", flat_files())
    outside = make_folder(tmp_path / "outside", {"secret.png": picture(99)})
    (folder / "cat" / "link.png").symlink_to(outside / "secret.png")
    (folder / "cat" / "inside.png").symlink_to(folder / "cat" / "1.png")
    (folder / "fox").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    pack = imported(folder, tmp_path / "packs")
    assert (pack.train_images + pack.test_images, pack.classes) == (10, ("cat", "dog"))
    assert "Links are not followed: 4 left out" in pack.notes[-1]


def test_a_folder_of_nothing_but_links_says_what_is_the_matter(tmp_path):
    images = make_folder(tmp_path / "images", flat_files())
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "train").symlink_to(images)
    assert "Links are not followed: 1 left out" in refused(folder, tmp_path / "packs")


def test_what_took_the_place_of_a_file_meanwhile_is_not_read(tmp_path):
    folder = make_folder(tmp_path / "a", {"1.png": b"x", "2.png": b"x", "3.png": b"x"})
    source = Folder(folder)
    assert sorted(source.names()) == ["1.png", "2.png", "3.png"]
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for name in ("1.png", "2.png", "3.png"):
        (folder / name).unlink()
    (folder / "1.png").symlink_to(secret)
    os.mkfifo(folder / "2.png")
    (folder / "3.png").mkdir()
    for name in ("1.png", "2.png", "3.png"):
        with pytest.raises((OSError, ValueError)):
            source.read(name)


def test_a_large_file_is_a_broken_one(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MAX_FILE_BYTES", 1 << 20)
    source = Folder(make_folder(tmp_path / "a", {"1.png": bytes((1 << 20) + 1)}))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        source.read("1.png")


def test_a_name_that_is_no_text_is_refused(tmp_path):
    folder = make_folder(tmp_path / "a", flat_files())
    (folder / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture())
    with pytest.raises(ImportRefusedError, match="not UTF-8"):
        Folder(folder).names()


def test_folders_deeper_than_pythons_stack(tmp_path):
    deep = "/".join("d" * 1500)
    folder = make_folder(tmp_path, {})
    here = os.open(folder, os.O_RDONLY)
    try:
        for name in deep.split("/"):
            os.mkdir(name, dir_fd=here)
            inner = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    assert Folder(folder).names() == []
