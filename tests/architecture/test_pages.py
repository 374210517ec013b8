"""Pages that name the test behind each line name only tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("page", "folder", "at_least"), [("correctness.md", "tests/worker", 20), ("reliability.md", "tests", 10)]
)
def test_every_test_that_the_page_names_exists(page: str, folder: str, at_least: int):
    named = re.findall(r"`([\w/.]+\.py)::(test_\w+)`", (ROOT / "docs" / page).read_text())
    assert len(named) >= at_least
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / folder / file).read_text()]
    assert missing == []
