"""The database: read sessions, write sessions, and what SQLite needs so that writers wait instead of failing.

Measured: SQLite with WAL and BEGIN IMMEDIATE serves many writers without an error, while a deferred BEGIN that reads
and then writes fails at once ("database is locked") whatever the timeout. So a session says what it is for.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.db.changes import WriteSession
from backend.db.models import Base

_BEGIN = "sqlite_begin"
_SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")


class Database:
    """Sessions on one database. Objects stay readable after their session has ended.

    ``on_change`` is called after each commit that has changed runs, with their ids, in the thread that committed.
    """

    def __init__(self, url: str, *, on_change: Callable[[set[str]], None] | None = None) -> None:
        self.engine = _engine(url)
        self._on_change = on_change
        self._immediate = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session that only reads; whatever it changes is rolled back."""
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A session that commits at its end, or rolls back where an exception leaves it."""
        with WriteSession(self._immediate, expire_on_commit=False) as session, session.begin():
            yield session
        if session.changed_runs and self._on_change is not None:
            self._on_change(session.changed_runs)

    @contextmanager
    def connect_to_write(self) -> Generator[Connection]:
        """A connection in a write transaction, for migrations."""
        with self._immediate.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def upsert(session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; one whose primary key exists replaces the other columns. Works on SQLite and PostgreSQL."""
    if not rows:
        return
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    keys = [column.name for column in inspect(model).primary_key]
    statement = dialect.insert(model)
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=replaced), list(rows))


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=10, max_overflow=40, pool_pre_ping=True)
    engine = create_engine(url, pool_size=10, max_overflow=40)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows ASCII only
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
