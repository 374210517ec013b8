"""The pages in a real Chromium against a real backend: what a person clicks and what then stands there."""

import re

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contracts.runs import AttemptEnd, RunRead
from tests.browser.lab import Lab, be_alive, launch, train
from tests.claiming import claim

CROP = {"augmentation": {"ops": [{"name": "crop"}, {"name": "flip"}]}, "training": {"epochs": 6}}
CROP_COLOUR = {"training": {"epochs": 6}}


@pytest.fixture(scope="module")
def finished_runs(lab: Lab) -> list[RunRead]:
    """Two finished runs, after the start page was seen empty."""
    found: list[RunRead] = []
    for name, config, linear in (("crop only", CROP, 0.19), ("crop and colour", CROP_COLOUR, 0.48)):
        run_id = launch(lab.client, name, config)
        train(lab.client, run_id, linear=linear, knn=linear - 0.04)
        found.append(lab.client.run(run_id))
    return found


def plots(page: Page) -> Locator:
    """The Vega charts on the page, drawn."""
    return page.locator("[data-testid=stVegaLiteChart] :is(svg, canvas)")


def test_a_click_on_the_starter_study_leads_to_its_page_which_fills_in_and_tells_the_story(lab: Lab, page: Page):
    page.goto(lab.page)
    page.get_by_role("button", name="Starter study").click()
    expect(page.get_by_role("heading", name="Accuracy against batch size")).to_be_visible()
    expect(page.get_by_text(re.compile("0 of 6 runs done"))).to_be_visible()
    (study,) = lab.client.studies()

    for result in lab.client.study_results(study.id).results:
        labels = set(result.cell["augmentation"].split(" + "))
        linear = 0.5 if {"crop", "color"} <= labels else 0.2 if "crop" in labels else 0.33
        train(lab.client, result.run.id, linear=linear, knn=linear - 0.05)

    expect(page.get_by_text("6 of 6 runs done")).to_be_visible()
    expect(page.get_by_text(re.compile("reached 50.0% linear accuracy on shapes"))).to_be_visible()
    expect(page.get_by_text(re.compile("This is the paper's point"))).to_be_visible()
    expect(page.get_by_role("button", name="Stop all")).to_be_disabled()
    expect(plots(page)).to_have_count(2)


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_ticked_runs_have_their_curves_overlaid(lab: Lab, page: Page, finished_runs: list[RunRead]):
    page.goto(f"{lab.page}/runs")
    page.get_by_label("Find").fill("only")
    page.get_by_label("Find").press("Enter")
    expect(page.get_by_text(re.compile("^1 of"))).to_be_visible()
    page.get_by_label("Find").fill("")
    page.get_by_label("Find").press("Enter")
    table = page.get_by_test_id("stDataFrame")
    expect(page.get_by_text(re.compile(f"^{lab.client.runs().total} of"))).to_be_visible()
    expect(table).to_have_count(1)  # the filtered one has gone
    table.click(position={"x": 17, "y": 53})
    table.click(position={"x": 17, "y": 88})
    expect(page.get_by_role("heading", name="Curves of the ticked runs")).to_be_visible()
    expect(plots(page)).to_have_count(4)


def test_a_tap_on_a_column_sorts_and_opens_no_run(lab: Lab, page: Page, finished_runs: list[RunRead]):
    page.goto(f"{lab.page}/runs")
    expect(page.get_by_text(re.compile(f"^{lab.client.runs().total} of"))).to_be_visible()
    for x in (120, 260, 400):
        page.get_by_test_id("stDataFrame").click(position={"x": x, "y": 17})  # pressed for no time, as a tap
        page.wait_for_timeout(700)
    assert "/runs" in page.url


def test_a_click_on_a_name_opens_the_run_with_its_results(lab: Lab, page: Page, finished_runs: list[RunRead]):
    page.goto(f"{lab.page}/runs")
    page.get_by_label("Find").fill("crop and colour")
    page.get_by_label("Find").press("Enter")
    expect(page.get_by_text(re.compile("^1 of"))).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)  # the table of all runs has gone
    page.get_by_test_id("stDataFrame").click(position={"x": 260, "y": 53})
    expect(page.get_by_role("heading", name="crop and colour")).to_be_visible()
    expect(page.get_by_text("48.0%")).to_be_visible()
    expect(page.get_by_text("untrained: 28.0%")).to_be_visible()
    expect(plots(page)).to_have_count(4)


def test_a_run_launched_from_the_form_shows_up_live_and_is_stopped(lab: Lab, page: Page, finished_runs: list[RunRead]):
    be_alive(lab.client)
    page.goto(f"{lab.page}/new_run")
    page.get_by_label("Name", exact=True).fill("from the form")
    page.get_by_label("Epochs", exact=True).fill("7")
    page.get_by_label("Epochs", exact=True).press("Enter")
    expect(page.get_by_text(re.compile("7 epochs"))).to_be_visible()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("heading", name="from the form")).to_be_visible()
    expect(page.get_by_text("queued").first).to_be_visible()

    run = lab.client.runs(limit=1).items[0]
    assert (run.name, run.config.training.epochs) == ("from the form", 7)
    train(lab.client, run.id, linear=0.4, knn=0.36, share=0.5)
    expect(page.get_by_text(re.compile("50%, 30 s left"))).to_be_visible()
    expect(plots(page)).to_have_count(4)

    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop").click()  # not Streamlit's own
    expect(page.get_by_text(re.compile("writes a checkpoint and then stops"))).to_be_visible()
    lab.client.end_attempt(run.id, AttemptEnd(attempt=1, outcome="stopped"))
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text(re.compile("^Place 1 in the queue"))).to_be_visible()
    assert lab.client.run(run.id).state == "queued"
    lab.client.stop_run(run.id)


def test_a_bad_value_is_named_at_its_field_and_cannot_be_launched(lab: Lab, page: Page):
    page.goto(f"{lab.page}/new_run")
    batch = page.get_by_label("Batch size", exact=True)
    batch.fill("1")
    batch.press("Enter")
    expect(page.get_by_text("Must be at least 2.").first).to_be_visible()
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    batch.fill("1000000000")
    batch.press("Enter")
    expect(page.get_by_text("Must be at most 65,536.").first).to_be_visible()
    batch.fill("64")
    batch.press("Enter")
    expect(page.get_by_role("button", name="Launch")).to_be_enabled()


def test_what_the_backend_refuses_stands_at_its_field(lab: Lab, page: Page):
    before = lab.client.runs().total
    page.goto(f"{lab.page}/new_run")
    batch = page.get_by_label("Batch size", exact=True)
    batch.fill("60000")
    batch.press("Enter")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text(re.compile("Mend this first"))).to_be_visible()
    expect(page.get_by_text(re.compile("Batch size: .*5000 training images"))).to_be_visible()
    assert lab.client.runs().total == before


def test_a_failed_run_says_what_happened_and_what_helps(lab: Lab, page: Page):
    run_id = launch(lab.client, "too fast", CROP)
    attempt = claim(lab.client, run_id).attempt
    lab.client.end_attempt(
        run_id, AttemptEnd(attempt=attempt, outcome="failed", error="The loss became NaN at step 12.")
    )
    page.goto(f"{lab.page}/run?id={run_id}")
    expect(page.get_by_text("The loss became NaN at step 12.")).to_be_visible()
    page.get_by_role("button", name="Change and launch").click()
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("6")


def test_while_the_backend_is_away_a_sentence_says_so_and_the_page_comes_back_by_itself(lab: Lab, page: Page):
    page.goto(f"{lab.page}/workers")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    lab.stop_backend()
    try:
        expect(page.get_by_text("The backend does not answer.")).to_be_visible()
        page.get_by_role("link", name="Runs").click()
        expect(page.get_by_text("The backend does not answer.")).to_be_visible()
    finally:
        lab.start_backend()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    expect(page.get_by_text("The backend does not answer.")).to_have_count(0)


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 101), ("evil.example", 403)])
def test_under_another_name_the_page_opens_no_session(lab: Lab, host: str, status: int):
    """DNS rebinding: a stranger's name that points to this machine, with the origin that belongs to it."""
    port = httpx.URL(lab.page).port
    headers = {
        "Host": f"{host}:{port}",
        "Origin": f"http://{host}:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with httpx.stream("GET", f"{lab.page}/_stcore/stream", headers=headers, trust_env=False) as answer:
        assert answer.status_code == status
