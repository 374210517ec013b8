"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

WideInteger = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite counts primary keys up only where they are called INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, aware and in UTC. (SQLite forgets time zones.)"""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC."""
        del dialect
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def clean_text(text: str) -> str:
    """Text that PostgreSQL takes, inside JSON too: NUL characters become U+FFFD."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class CleanText(TypeDecorator[str]):
    """Text without NUL characters, which PostgreSQL refuses: they become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL characters."""
        del dialect
        return None if value is None else clean_text(value)


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)
