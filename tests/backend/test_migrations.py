"""The migrations on both databases."""

import pytest
from alembic.util import CommandError
from sqlalchemy import inspect, text

from backend.db import migrate
from backend.db.engine import Database
from backend.db.models import Base
from backend.settings import Settings


@pytest.fixture
def database(empty_database_url: str):
    database = Database(Settings(database_url=empty_database_url, _env_file=None).sqlalchemy_url)
    yield database
    database.close()


def test_the_migrated_schema_equals_the_models(database: Database) -> None:
    migrate.upgrade(database)
    migrate.check(database)
    assert set(inspect(database.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_a_schema_that_differs_from_the_models_is_noticed(database: Database) -> None:
    migrate.upgrade(database)
    with database.write() as session:
        session.execute(text("ALTER TABLE runs ADD COLUMN surprise INTEGER"))
    with pytest.raises(CommandError, match="surprise"):
        migrate.check(database)


def test_a_second_upgrade_changes_nothing_and_a_downgrade_leaves_nothing(database: Database) -> None:
    migrate.upgrade(database)
    migrate.upgrade(database)
    migrate.downgrade(database)
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(database)
    migrate.check(database)
