"""A person orders the queue, drains a worker, searches a log and retries a failed run, in a real Chromium."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from backend.contracts.changes import RunChanges
from backend.contracts.events import LogEvent, ProgressEvent
from backend.contracts.runs import AttemptEnd, EventBatch, OutputLines, SystemSample
from tests.browser.lab import Lab, beating, launch
from tests.claiming import claim
from tests.examples import NOW

WORKER = "lab-1"


@pytest.fixture(autouse=True)
def worker(lab: Lab) -> Iterator[None]:
    """A worker that lives as long as the test."""
    with beating(lab.client, WORKER):
        yield


def test_ticked_runs_are_moved_weighed_and_stopped(lab: Lab, page: Page):
    ids = {name: launch(lab.client, name, {"training": {"epochs": 6}}) for name in ("first", "second", "third")}
    page.goto(f"{lab.page}/queue")
    expect(page.get_by_text("Next: first.")).to_be_visible()
    page.get_by_test_id("stDataFrame").click(position={"x": 17, "y": 123})
    expect(page.get_by_text(re.compile("1 ticked"))).to_be_visible()

    page.get_by_role("button", name="First", exact=True).click()
    expect(page.get_by_text("Next: third. It starts as soon as a worker asks.")).to_be_visible()
    page.get_by_role("button", name="Down", exact=True).click()
    expect(page.get_by_text("Next: first.")).to_be_visible()
    assert [run.name for run in lab.client.queue()] == ["first", "third", "second"]

    page.get_by_label("Priority", exact=True).fill("9")
    page.get_by_label("Priority", exact=True).press("Enter")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text("Next: third.")).to_be_visible()
    assert lab.client.run(ids["third"]).priority == 9

    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text(re.compile("^2 runs waiting"))).to_be_visible()
    assert [lab.client.run(run_id).state for run_id in ids.values()] == ["queued", "queued", "stopped"]
    for name in ("first", "second"):
        lab.client.stop_run(ids[name])


def test_a_worker_is_drained_after_a_question_and_takes_runs_again(lab: Lab, page: Page):
    run_id = launch(lab.client, "on the worker", {"training": {"epochs": 6}})
    attempt = claim(lab.client, run_id, WORKER).attempt

    def wish() -> str:
        return lab.client.post_events(run_id, EventBatch(attempt=attempt, events=[])).wish

    page.goto(f"{lab.page}/workers")
    expect(page.get_by_text(re.compile("^1 of .* slots? taken"))).to_be_visible()
    page.get_by_role("button", name="Drain").click()
    expect(page.get_by_text(re.compile("Its 1 run makes a checkpoint"))).to_be_visible()
    assert wish() == "go_on"
    page.get_by_role("button", name="Drain this worker").click()
    expect(page.get_by_text("takes no runs")).to_be_visible()
    assert wish() == "drain"
    page.get_by_role("button", name="Take runs again").click()
    expect(page.get_by_text("alive")).to_be_visible()
    assert wish() == "go_on"

    page.get_by_role("link", name="on the worker").click()
    expect(page.get_by_text(f"On worker {WORKER} · processor · priority 0")).to_be_visible()
    lab.client.end_attempt(run_id, AttemptEnd(attempt=attempt, outcome="stopped"))


def test_a_log_is_searched_while_the_run_goes_on_and_a_failed_run_is_retried_with_what_fits(lab: Lab, page: Page):
    run_id = launch(lab.client, "too large", {"training": {"epochs": 10, "batch_size": 128}})
    attempt = claim(lab.client, run_id, WORKER).attempt
    lines = [("info", "loading images"), ("warning", "few images of cat")]
    events = [
        LogEvent.model_validate(
            {"attempt": attempt, "seq": seq, "time": time.time(), "level": level, "message": message}
        )
        for seq, (level, message) in enumerate(lines, 1)
    ]
    printed = OutputLines(start=0, end=40, lines=["UserWarning: <b>not writable</b>"])
    load = SystemSample(time=NOW, values={"cpu_percent": 95.0, "memory_bytes": 2e9})
    lab.client.post_events(run_id, EventBatch(attempt=attempt, events=events, output=printed, system=load))
    page.goto(f"{lab.page}/run?id={run_id}")
    log = page.get_by_test_id("stExpander").get_by_test_id("stCode")
    expect(log).to_contain_text("output UserWarning: <b>not writable</b>")

    box = page.get_by_label("Search the log")
    box.press_sequentially("CAT")
    progress = ProgressEvent(
        attempt=attempt, seq=3, time=time.time(), step=31, total_steps=100, progress=0.31, eta_seconds=45
    )
    lab.client.post_events(run_id, EventBatch(attempt=attempt, events=[progress]))
    expect(page.get_by_text("epoch 3.1 of 10, 31%, 45 s left")).to_be_visible()
    expect(box).to_be_focused()
    expect(box).to_have_value("CAT")
    box.press("Enter")
    expect(log).not_to_contain_text("loading images")
    expect(log).to_contain_text("WARNING few images of cat")
    page.reload()
    expect(box).to_have_value("CAT")
    page.get_by_role("radio", name="Errors").click()
    expect(page.get_by_text("No line is like that.")).to_be_visible()
    page.get_by_role("tab", name="System").click()
    expect(page.get_by_text("there is no GPU to draw")).to_be_visible()
    expect(page.get_by_text("Memory of the process (GB) 2.00")).to_be_visible()

    end = AttemptEnd(
        attempt=attempt, outcome="failed", error="Out of GPU memory.", remedy=RunChanges(micro_batch_size=64)
    )
    lab.client.end_attempt(run_id, end)
    expect(page.get_by_text("Out of GPU memory.")).to_be_visible()
    page.get_by_role("button", name="Retry with micro-batch 64").click()
    expect(page.get_by_text(re.compile("Place 1 in the queue"))).to_be_visible()
    assert lab.client.run(run_id).config.training.micro_batch_size == 64
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_test_id("stVegaLiteChart").locator("svg, canvas")).to_have_count(1)
    lab.client.stop_run(run_id)
