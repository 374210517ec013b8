"""Bring the database to the newest schema, also when several backends start at once."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from backend.db.engine import Database

_MIGRATIONS = Path(__file__).parents[2] / "migrations"
_LOCK = 0x51_3C_12  # any number, the same in every backend


def alembic_config() -> Config:
    """Alembic's configuration: where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations that are missing, in one transaction, one backend at a time."""
    _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Take migrations back."""
    _run(database, command.downgrade, revision)


def check(database: Database) -> None:
    """Raise alembic.util.CommandError where the models and the migrated schema differ."""
    with database.connect_to_write() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.check(config)


def _run(database: Database, step: Callable[[Config, str], None], revision: str) -> None:
    with database.connect_to_write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = alembic_config()
        config.attributes["connection"] = connection
        step(config, revision)
