"""``docs/security.md`` has a test behind each line, and names only tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_threat_has_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")]
    threats = [row for row in rows if not row.startswith("| Threat |")]
    assert len(threats) > 15
    for row in threats:
        named = re.findall(r"`([\w/.]+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}::{test}"
