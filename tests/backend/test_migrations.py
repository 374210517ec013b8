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


def test_datasets_imported_before_there_were_channels_keep_their_rows(database: Database) -> None:
    migrate.upgrade(database, "0001")
    columns = "name, import_id, source, image_size, test_share, state, progress, created_at, sends, seen_at"
    values = "'pets', 'x', 'zip', 32, 0.2, 'ready', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00'"
    with database.write() as session:
        session.execute(text(f"INSERT INTO datasets ({columns}) VALUES ({values})"))
    migrate.upgrade(database)
    with database.read() as session:
        assert session.execute(text("SELECT name, channels FROM datasets")).all() == [("pets", "auto")]


def test_a_second_upgrade_changes_nothing_and_a_downgrade_leaves_nothing(database: Database) -> None:
    migrate.upgrade(database)
    migrate.upgrade(database)
    migrate.downgrade(database)
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(database)
    migrate.check(database)
