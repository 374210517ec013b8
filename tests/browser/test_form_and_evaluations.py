"""The form of a run to its last field, and what evaluations found, in a real Chromium against a real backend."""

import io
import json
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from backend.contracts.runs import RunRead
from tests.browser.lab import Lab, launch, train

CLASSES = ["cat", "dog", "bird"]
LABELS = [0, 1, 2] * 4
FIRST_WRONG, SECOND_WRONG = [1, 2, 0, *LABELS[3:]], [0, 2, *LABELS[2:]]


def files(predicted: list[int]) -> dict[str, bytes]:
    """The artifacts of an evaluation in which the linear classifier predicted this."""
    matrix = [[0] * 3 for _ in CLASSES]
    for label, guess in zip(LABELS, predicted, strict=True):
        matrix[label][guess] += 1
    details = {"confusion_matrix": matrix, "per_class_accuracy": [row[place] / 4 for place, row in enumerate(matrix)]}
    predictions = {"test_set": "t", "classes": CLASSES, "labels": LABELS, "predictions": {"linear": predicted}}
    images = [
        {"index": index, "label": label, "x": index % 4, "y": index // 4, "neighbors": [(index + 1) % 12]}
        for index, label in enumerate(LABELS)
    ]
    sheet = io.BytesIO()
    Image.new("RGB", (32, 24), "teal").save(sheet, "PNG")
    projection = {
        "method": "pca",
        "classes": CLASSES,
        "sheet": {"file": "projection.png", "columns": 4, "side": 8},
        "images": images,
    }
    contents = {
        "evaluation.json": {"classifiers": {"linear": details}},
        "predictions.json": predictions,
        "projection.json": projection,
    }
    return {name: json.dumps(content).encode() for name, content in contents.items()} | {
        "projection.png": sheet.getvalue()
    }


@pytest.fixture(scope="module")
def evaluated(lab: Lab) -> list[RunRead]:
    """Two evaluated runs; the second has collapsed."""
    found: list[RunRead] = []
    for name, predicted, collapsed in (("the first", FIRST_WRONG, 0), ("the second", SECOND_WRONG, 1)):
        run_id = launch(lab.client, name, {"training": {"epochs": 3}})
        measured = {"z_linear_top1": 0.51, "collapsed": collapsed, "effective_rank": 1.04, "feature_dim": 512}
        train(lab.client, run_id, linear=0.75, knn=0.7, measured=measured, files=files(predicted))
        found.append(lab.client.run(run_id))
    return found


def choose(page: Page, box: str, option: str) -> None:
    """Open a select box and take an option."""
    inputs = page.get_by_label(box, exact=True)
    inputs.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # scrolling closes the list
    inputs.click()
    page.get_by_role("option", name=option, exact=True).click()


def enter(box: Locator, text: str) -> None:
    """Write into a field and leave it."""
    box.fill(text)
    box.press("Enter")


def test_a_transformation_is_added_twice_moved_and_launched_and_comes_back_the_same(lab: Lab, page: Page):
    page.goto(f"{lab.page}/new_run")
    choose(page, "Add a transformation", "flip")
    page.get_by_text(re.compile(r"^4\. flip")).click()
    enter(page.get_by_role("spinbutton", name="Probability").last, "0.25")
    expect(page.get_by_text("4. flip probability 0.25")).to_be_visible()
    page.get_by_role("button", name="arrow_upward icon").last.click()
    expect(page.get_by_text("3. flip probability 0.25")).to_be_visible()
    page.get_by_role("button", name="close icon").first.click()
    expect(page.get_by_text("2. flip probability 0.25")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("two flips")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("heading", name="two flips")).to_be_visible()
    run = lab.client.runs(limit=1).items[0]
    assert [(op.name, getattr(op, "probability", None)) for op in run.config.augmentation.ops] == [
        ("flip", 0.5),
        ("flip", 0.25),
        ("color", None),
    ]

    page.get_by_role("button", name="Change and launch").click()
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    expect(page.get_by_text("2. flip probability 0.25")).to_be_visible()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("heading", name=re.compile(r"flip \+ flip \+ color"))).to_be_visible()
    assert lab.client.runs(limit=1).items[0].config == run.config


def test_a_section_is_switched_on_its_lists_are_checked_and_it_is_launched(lab: Lab, page: Page):
    page.goto(f"{lab.page}/new_run")
    page.get_by_text("Evaluation", exact=True).click()
    page.get_by_text("Few labels (semi-supervised)").click()
    shares = page.get_by_role("textbox", name="Label shares")
    enter(shares, "0.05, some")
    expect(page.get_by_text("'some' is no number.").first).to_be_visible()
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    enter(shares, "0.05")
    enter(page.get_by_role("textbox", name="Epochs"), "7")
    expect(page.get_by_text("Mend this first")).to_have_count(0)
    page.get_by_role("link", name="Workers").click()  # and back: what was entered is still there
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    page.get_by_role("link", name="New run").click()
    expect(page.get_by_text("Few labels (semi-supervised)", exact=True).last).to_be_visible()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text(re.compile(r"^Place \d+ in the queue"))).to_be_visible()
    semi = lab.client.runs(limit=1).items[0].config.evaluation.semi_supervised
    assert semi is not None
    assert (semi.label_shares, semi.epochs) == ((0.05,), (7,))


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_a_preset_fills_the_form_and_the_estimate_follows_every_change(lab: Lab, page: Page):
    page.goto(f"{lab.page}/new_run")
    expect(page.get_by_text("570, 19 an epoch")).to_be_visible()
    choose(page, "Micro batch size", "auto")
    expect(page.get_by_text("512 views where they fit into memory")).to_be_visible()
    enter(page.get_by_label("Micro batch size", exact=True), "32")
    expect(page.get_by_text(re.compile("64 views: a micro-batch; the loss and gradient are those"))).to_be_visible()
    choose(page, "Start from", "ImageNet as in the paper")
    expect(page.get_by_text("23.5 million parameters, stem imagenet, h of 2,048 dimensions")).to_be_visible()
    expect(page.get_by_label("Batch size", exact=True).first).to_have_value("4096")
    expect(page.get_by_text("optimiser lars", exact=False)).to_be_visible()


def test_more_evaluation_is_asked_for_on_the_runs_page(lab: Lab, page: Page, evaluated: list[RunRead]):
    run_id = launch(lab.client, "evaluate me", {"training": {"epochs": 3}})
    train(lab.client, run_id, linear=0.5, knn=0.4)
    page.goto(f"{lab.page}/run?id={run_id}")
    page.get_by_role("button", name="Evaluate more").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Evaluate", exact=True)).to_be_disabled()
    dialog.get_by_text("Linear evaluation by SGD").click()
    epochs = dialog.get_by_role("spinbutton", name="Epochs")
    enter(epochs, "0")
    expect(dialog.get_by_text("Must be at least 1.").first).to_be_visible()
    enter(epochs, "4")
    dialog.get_by_role("button", name="Evaluate", exact=True).click()
    expect(page.get_by_text(re.compile(r"^Place \d+ in the queue"))).to_be_visible()
    run = lab.client.run(run_id)
    assert run.state == "queued"
    assert run.config.evaluation.linear_sgd is not None
    assert run.config.evaluation.linear_sgd.epochs == 4


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_what_evaluations_found_is_shown(lab: Lab, page: Page, evaluated: list[RunRead]):
    page.goto(f"{lab.page}/run?id={evaluated[1].id}")
    expect(page.get_by_text("The representation has collapsed.")).to_be_visible()
    expect(page.get_by_role("heading", name="Evaluation")).to_be_visible()
    expect(page.get_by_text("Of h: effective rank 1.04 of 512")).to_be_visible()
    charts = page.locator("[data-testid=stVegaLiteChart] :is(svg, canvas)")
    page.get_by_text("Classes: which was taken for which").click()
    page.get_by_text("Map of 12 test images by PCA").click()
    expect(charts).to_have_count(7)
    expect(page.get_by_text("Click a dot")).to_be_visible()
    charts.last.click()
    expect(page.get_by_alt_text(re.compile("^test image"))).to_have_count(2)


def test_two_ticked_runs_are_compared_image_by_image(lab: Lab, page: Page, evaluated: list[RunRead]):
    page.goto(f"{lab.page}/runs")
    page.get_by_label("Find").fill("the")
    page.get_by_label("Find").press("Enter")
    expect(page.get_by_text(re.compile("^2 of"))).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)
    table = page.get_by_test_id("stDataFrame")
    table.click(position={"x": 17, "y": 53})
    table.click(position={"x": 17, "y": 88})
    expect(
        page.get_by_text("the second is better on 2 images, the first on 0 of 12: p = 0.5 (exact McNemar)")
    ).to_be_visible()
