"""``docs/correctness.md`` names only tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`([\w/.]+\.py)::(test_\w+)`", (ROOT / "docs" / "correctness.md").read_text())
    assert len(named) > 20
    missing = [
        f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / "tests/worker" / file).read_text()
    ]
    assert missing == []
