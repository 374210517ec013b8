"""A person brings images and sets up a study of their own, in a real Chromium against a real backend."""

import io
import re
import zipfile

from playwright.sync_api import FilePayload, Page, expect

from backend.contracts.datasets import BrokenFile, DatasetStats, ImportReport
from tests.browser.lab import Lab, launch, train

SHA = "0" * 64


def zip_of(**files: bytes) -> bytes:
    """A zip with these files; ``__`` in a name stands for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name.replace('__', '/')}.png", content)
    return buffer.getvalue()


def bring(page: Page, name: str, content: bytes) -> None:
    """Hand over a zip and click Import."""
    file = FilePayload(name=f"{name}.zip", mimeType="application/zip", buffer=content)
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_label("Name", exact=True).first).to_have_value(name)
    page.get_by_role("button", name="Import", exact=True).first.click()


def test_a_zip_is_brought_watched_listed_with_its_broken_files_and_deleted(lab: Lab, page: Page):
    page.goto(f"{lab.page}/datasets")
    bring(page, "pets", zip_of(cat__1=b"not decoded here", dog__1=b"nor this"))
    expect(page.get_by_text("importing, 0%")).to_be_visible()
    lab.client.report_import("pets", ImportReport(state="importing", progress=0.4))
    expect(page.get_by_text("importing, 40%")).to_be_visible()

    stats = DatasetStats(
        train_images=80,
        test_images=20,
        classes=["cat", "dog"],
        image_size=32,
        channels=3,
        size_bytes=307_200,
        broken=[BrokenFile(file="dog/7.png", reason="is no image")],
        broken_total=1,
    )
    lab.client.report_import("pets", ImportReport(state="ready", pack_sha256=SHA, stats=stats))
    expect(page.get_by_text(re.compile("80 training and 20 test images · 2 classes"))).to_be_visible()
    expect(page.get_by_text("1 file could not be read and is left out")).to_be_visible()

    page.locator("[class*=delete-pets]").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("2 classes")).to_have_count(0)
    assert "pets" not in {dataset.name for dataset in lab.client.datasets()}


def test_a_known_dataset_is_chosen_by_name_and_asked_for_at_its_own_size(lab: Lab, page: Page):
    page.goto(f"{lab.page}/datasets")
    page.get_by_role("tab", name="Known datasets").click()
    page.get_by_role("combobox", name=re.compile("Dataset")).click()
    page.get_by_role("option", name="STL-10").click()
    expect(page.get_by_text(re.compile("100,000 without labels.*downloads 2.6 GB"))).to_be_visible()
    page.get_by_role("button", name="Import STL-10").click()
    expect(page.get_by_role("button", name="STL-10 is there")).to_be_disabled()
    assert lab.client.dataset("stl10").state == "importing"
    lab.client.delete_dataset("stl10")


def test_a_zip_that_is_no_zip_is_refused_where_it_was_brought(lab: Lab, page: Page):
    page.goto(f"{lab.page}/datasets")
    bring(page, "letter", b"Dear reader, this is no zip.")
    expect(page.get_by_text(re.compile("no zip file"))).to_be_visible()
    assert "letter" not in {dataset.name for dataset in lab.client.datasets()}


def test_a_study_over_augmentations_batch_sizes_and_seeds_is_launched_and_stopped(lab: Lab, page: Page):
    train(lab.client, launch(lab.client, "my base", {"training": {"epochs": 9}}), linear=0.4, knn=0.3)
    page.goto(f"{lab.page}/new_study")
    page.get_by_label("Start from the config of").click()
    page.get_by_role("option", name="my base").click()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("9")
    page.get_by_role("textbox", name="Seeds").fill("0, one")
    page.get_by_role("textbox", name="Seeds").press("Enter")
    expect(page.get_by_text("'one' is no whole number")).to_be_visible()
    expect(page.get_by_role("button", name="Launch the study")).to_be_disabled()
    page.get_by_role("textbox", name="Seeds").fill("0, 1")
    page.get_by_role("textbox", name="Seeds").press("Enter")
    expect(page.get_by_text(re.compile("^12 runs"))).to_be_visible()
    page.get_by_role("button", name="Launch the study").click()
    expect(page.get_by_role("heading", name="Accuracy against augmentation")).to_be_visible()

    (study,) = lab.client.studies()
    assert [[point.label for point in axis.points] for axis in study.axes] == [
        ["crop", "color", "crop + color"],
        ["64", "256"],
    ]
    assert (study.seeds, study.base.training.epochs) == ([0, 1], 9)
    expect(page.get_by_text("0 of 12 runs done, 12 queued")).to_be_visible()
    page.get_by_role("button", name="Stop all").click()
    expect(page.get_by_text("0 of 12 runs done, 12 stopped")).to_be_visible()
