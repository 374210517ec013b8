"""Alembic's environment: the backend hands over a connection; on the command line it is opened from the settings."""

from alembic import context
from sqlalchemy import Connection

from backend.db.engine import Database
from backend.db.models import Base
from backend.settings import Settings


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with Database(Settings().sqlalchemy_url).connect_to_write() as opened:
        run(opened)
