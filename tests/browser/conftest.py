"""A real Chromium, the page it opens, and a check of every request and console message."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.lab import Lab, running_lab

_PATIENCE = 30_000.0
"""Milliseconds; long, because a busy machine is slow and a page that is right is quick anyway."""
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Generator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: install chromium, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=_FLAGS, chromium_sandbox=os.geteuid() != 0, headless=True
        )
        yield browser
        browser.close()


def is_error(message: ConsoleMessage) -> bool:
    """All but Streamlit's own: at a deep link it looks for its health address below it first, and gets a 404."""
    return message.type == "error" and "/_stcore/" not in message.location.get("url", "")


@pytest.fixture(params=["light"])
def page(request: pytest.FixtureRequest, chromium: Browser, tmp_path: Path) -> Generator[Page]:
    """A page of its own; afterwards: no request went elsewhere, and the console shows no error."""
    context = chromium.new_context(
        viewport={"width": 1400, "height": 900}, color_scheme=request.param, locale="en-GB", timezone_id="UTC"
    )
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    requested: list[str] = []
    errors: list[str] = []
    opened = context.new_page()
    opened.on("request", lambda one: requested.append(one.url))
    opened.on("console", lambda one: errors.append(one.text) if is_error(one) else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    height = opened.evaluate("document.querySelector('[data-testid=stMainBlockContainer]')?.scrollHeight ?? 900")
    opened.set_viewport_size({"width": 1400, "height": min(2600, max(900, height))})  # the page scrolls inside
    opened.wait_for_timeout(500)
    opened.screenshot(path=tmp_path / "last.png")
    context.close()
    outside = {url for url in requested if urlparse(url).scheme != "data" and urlparse(url).hostname != "127.0.0.1"}
    assert requested
    assert outside == set()
    assert errors == []
