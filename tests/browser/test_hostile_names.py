"""Names that are Markdown, HTML, formulas or hide their order stand on the pages as they were written."""

import re

import pytest
from playwright.sync_api import Page, expect

from backend.client import Client
from backend.contracts.datasets import DatasetStats, ImportReport
from backend.contracts.runs import AttemptEnd
from backend.contracts.studies import StudyCreate
from tests.backend.zips import GOOD
from tests.browser.lab import Lab, be_alive, launch, train
from tests.claiming import claim

NAME = "=1+1 <img src=x onerror=alert(1)> **b** :red[r] :material/home: $x$ [l](https://evil.org) a\u202eb"
SHOWN = NAME.replace("\u202e", "[U+202E]")


@pytest.fixture(scope="module")
def hostile(lab: Lab) -> dict[str, str]:
    """A finished run, a failed one, a study and a dataset, each with this name wherever a name may stand."""
    be_alive(lab.client)
    train(lab.client, launch(lab.client, NAME, {"training": {"epochs": 3}}), linear=0.4, knn=0.3)
    done = lab.client.runs().items[0].id
    failed = launch(lab.client, NAME, {})
    claimed = claim(lab.client, failed, "lab-1")
    lab.client.end_attempt(failed, AttemptEnd(attempt=claimed.attempt, outcome="failed", error=f"{NAME}\n# {NAME}"))
    axes = [{"name": NAME[:100], "points": [{"label": NAME[:100], "set": {"training.batch_size": 64}}]}]
    study = lab.client.launch_study(StudyCreate.model_validate({"name": NAME, "notes": NAME, "axes": axes}))
    dataset(lab.client)
    return {"done": done, "failed": failed, "study": study.id}


def dataset(client: Client) -> None:
    client.upload_dataset("pets", iter([GOOD]))
    stats = DatasetStats.model_validate(
        {
            "train_images": 9, "test_images": 9, "classes": [NAME, "b"], "image_size": 8, "channels": 3,
            "size_bytes": 9, "broken": [{"file": NAME, "reason": NAME}], "broken_total": 1, "notes": [NAME],
        }
    )  # fmt: skip
    client.report_import("pets", ImportReport(state="ready", progress=1.0, pack_sha256="5" * 64, stats=stats))


def text_of(page: Page) -> str:
    """All that is written on the page, without the joiners that keep Streamlit from reading it as markup."""
    return re.sub("\u2060", "", page.locator("[data-testid=stMain]").inner_text())


def check_nothing_became_markup(page: Page) -> None:
    main = page.locator("[data-testid=stMain]")
    for made in ("img[src=x]", "a[href*=evil]:not([href^='#'])", ".katex", "strong:text-is('b')"):
        expect(main.locator(made)).to_have_count(0)
    assert "\u202e" not in text_of(page)


@pytest.mark.parametrize(("path", "of"), [("run", "done"), ("run", "failed"), ("studies", "study")])
def test_on_the_page_of_a_run_and_of_a_study(lab: Lab, page: Page, hostile: dict[str, str], path: str, of: str):
    page.goto(f"{lab.page}/{path}?id={hostile[of]}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("=1+1 <img src=x")
    expect(
        page.get_by_role("tab", name="History") if path == "run" else page.get_by_text("Dot: one run")
    ).to_be_visible()
    assert SHOWN in text_of(page)
    check_nothing_became_markup(page)


@pytest.mark.parametrize("path", ["", "runs", "studies", "datasets", "new_run", "new_study", "workers", "queue"])
def test_on_every_other_page(lab: Lab, page: Page, hostile: dict[str, str], path: str):
    page.goto(f"{lab.page}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if path in {"", "studies"}:
        expect(page.get_by_role("link", name=re.compile("<img src=x")).first).to_be_visible()
    if path == "datasets":
        page.get_by_text("Details").click()
        expect(page.get_by_text(re.compile("<img src=x")).first).to_be_visible()
    check_nothing_became_markup(page)
