"""Secrets stay secret: whatever fails, no password and no token is in an answer, a log or an error."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from backend.client import Client, Connection
from backend.contracts.tokens import TokenCreate
from backend.settings import Settings
from tests.backend.marks import on_one_database
from tests.backend.test_access import closed_requests

ROOT = Path(__file__).parents[2]
CANARY = "canary" + "1f0c9d" * 8  # fixed: parametrised names must be the same in every test process


def environment(home: Path, **variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIMCLR_LAB_")}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SIMCLR_LAB_HOME": str(home),
        "SIMCLR_LAB_API_PORT": "0",
        **variables,
    }


@dataclass
class Backend:
    """A backend as a process of its own; it says where it listens."""

    url: str
    log: Path


@contextmanager
def running(home: Path, **variables: str) -> Iterator[Backend]:
    log = home.parent / "backend.log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "backend.main"]
        process = subprocess.Popen(
            command, cwd=home.parent, env=environment(home, **variables), stdout=file, stderr=file
        )
    try:
        while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield Backend(found[1], log)
    finally:
        process.terminate()
        process.wait(30)


def words_of_failed_start(home: Path, **variables: str) -> str:
    """What a backend that cannot start says."""
    ended = subprocess.run(
        [sys.executable, "-m", "backend.main"],
        cwd=home.parent,
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SIMCLR_LAB_TOKEN", CANARY[:42], "43 characters or more"),
        ("SIMCLR_LAB_REDIS_URL", f"redis://:12/{CANARY}@127.0.0.1:6379/0", "special characters"),
        ("SIMCLR_LAB_DATABASE_URL", f"postgresql://me:a@{CANARY}@127.0.0.1/db", "special characters"),
        ("SIMCLR_LAB_DATABASE_URL", CANARY, "special characters"),
        ("SIMCLR_LAB_API_PORT", "http", "SIMCLR_LAB_API_PORT is 'http'"),
    ],
)
def test_a_wrong_setting_is_named_in_a_line_and_no_secret_is_quoted(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    variables = {"SIMCLR_LAB_TOKEN": CANARY, variable: value}
    words = words_of_failed_start(tmp_path / "lab", **variables)
    assert len(words.strip().splitlines()) == 1
    assert variable in words
    assert said in words
    assert CANARY[:30] not in words


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://me:{CANARY}@127.0.0.1:1/db"
    words = words_of_failed_start(tmp_path / "lab", SIMCLR_LAB_DATABASE_URL=url, SIMCLR_LAB_TOKEN=CANARY)
    assert "127.0.0.1" in words
    assert CANARY not in words


def test_a_broker_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"redis://:{CANARY}@127.0.0.1:1/0"
    with running(tmp_path / "lab", SIMCLR_LAB_REDIS_URL=url, SIMCLR_LAB_TOKEN=CANARY) as backend:
        headers = {"Authorization": f"Bearer {CANARY}"}
        with httpx.Client(base_url=backend.url, headers=headers, timeout=30, trust_env=False) as http:
            answers = [
                http.get("/readyz"),
                http.post("/api/v1/runs", json={}),
                http.post("/api/v1/previews/views", json={}),
                http.get("/api/v1/runs", headers={"Authorization": f"Bearer {CANARY}wrong"}),
            ]
    assert [answer.status_code for answer in answers] == [503, 201, 503, 401]
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert CANARY not in backend.log.read_text()


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update=getattr(request, "param", {}))


def test_a_backend_that_fails_at_everything_shows_no_token(
    app: FastAPI, address: str, client: Client, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All tables are gone: every route that asks the database fails, and says so in the log."""
    caplog.set_level(logging.DEBUG)
    made = client.create_token(TokenCreate(name="Ada", role="admin")).token
    with app.state.lab.database.write() as session:
        for table in (
            "tokens",
            "journal",
            "transitions",
            "metric_points",
            "system_samples",
            "artifacts",
            "checkpoints",
        ):
            session.execute(text(f"DROP TABLE {table}"))
        session.execute(text("DROP TABLE runs"))
    failed: set[int] = set()
    for secret in (token, made):
        headers = {"Authorization": f"Bearer {secret}", "Connection": "close"}  # as the server closes after a failure
        with httpx.Client(headers=headers, trust_env=False, timeout=30) as http:
            for method, path in closed_requests(app):
                answer = http.request(method, address + path, json={} if method in {"POST", "PATCH"} else None)
                failed.add(answer.status_code)
                assert secret not in answer.text
                assert secret not in str(answer.headers)
                assert "sqlalchemy" not in answer.text.lower(), "what failed is told in the log only"
    assert {500, 503} <= failed
    assert "no such table" in caplog.text or "does not exist" in caplog.text
    assert token not in caplog.text
    assert made not in caplog.text


@on_one_database
def test_an_unexpected_error_is_told_in_the_log_only(app: FastAPI, http: httpx.Client) -> None:
    def fail() -> None:
        raise RuntimeError(CANARY)

    app.add_api_route("/api/v1/failing", fail, methods=["GET"])
    answer = http.get("/failing")
    assert answer.status_code == 500
    assert CANARY not in answer.text


def test_settings_do_not_show_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "DATABASE_URL", "REDIS_URL"):
        prefix = {"TOKEN": "", "DATABASE_URL": "postgresql://me:", "REDIS_URL": "redis://:"}[name]
        monkeypatch.setenv(f"SIMCLR_LAB_{name}", f"{prefix}{CANARY}{'@127.0.0.1/0' if prefix else ''}")
    from worker.settings import Settings as WorkerSettings

    for kind in (Settings, Connection, WorkerSettings):
        settings = kind(home=tmp_path, _env_file=None)
        for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{vars(settings)}"):
            assert CANARY not in shown
    assert CANARY in Settings(home=tmp_path, _env_file=None).sqlalchemy_url
    assert CANARY in WorkerSettings(home=tmp_path, _env_file=None).broker_url
