"""Tokens: made, listed, used, expired, revoked; and what is kept of them."""

import hashlib
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from backend.client import ApiError, Client
from backend.contracts.runs import RunCreate
from backend.contracts.tokens import TokenCreate
from backend.db.models import Token
from backend.db.types import utc_now
from backend.services import tokens
from backend.services.lab import Lab
from tests.backend.marks import on_one_database


@pytest.fixture
def lab(lab: Lab, address: str) -> Lab:
    """With the application started: the tables are there."""
    del address
    return lab


def row_of(lab: Lab, token_id: str) -> Token:
    with lab.database.read() as session:
        return session.scalars(select(Token).where(Token.id == token_id)).one()


def test_a_secret_is_of_256_random_bits_and_only_its_hash_is_kept(client: Client, lab: Lab) -> None:
    made = [client.create_token(TokenCreate(name=f"t{number}")) for number in range(5)]
    for token in made:
        assert token.token.startswith("slab_")
        assert len(token.token) == len("slab_") + 43  # 256 bits in base 64
        row = row_of(lab, token.id)
        assert row.sha256 == hashlib.sha256(token.token.encode()).hexdigest()
        assert token.token not in str(vars(row))
    assert len({token.token for token in made}) == 5


def test_the_list_shows_who_has_one_and_never_a_secret(client: Client, http: httpx.Client) -> None:
    first = client.create_token(TokenCreate(name="Ada", role="read", expires_in_days=2))
    second = client.create_token(TokenCreate(name="Ben"))
    assert [(token.name, token.role) for token in client.tokens()] == [("Ada", "read"), ("Ben", "launch")]
    assert first.expires_at == first.created_at + timedelta(days=2)
    assert second.expires_at is None
    text = http.get("/tokens").text
    assert first.token not in text
    assert hashlib.sha256(first.token.encode()).hexdigest() not in text


def test_a_token_lets_in_until_it_is_revoked(client: Client, address: str) -> None:
    made = client.create_token(TokenCreate(name="Ada"))
    with Client(address, made.token) as ada:
        assert ada.launch_run(RunCreate()).state == "queued"
        client.revoke_token(made.id)
        with pytest.raises(ApiError) as error:
            ada.runs()
        assert error.value.status == 401
    assert client.tokens() == []


def test_a_token_lets_in_until_it_expires(client: Client, address: str, lab: Lab) -> None:
    made = client.create_token(TokenCreate(name="Ada", expires_in_days=1))
    with Client(address, made.token) as ada:
        assert ada.runs().total == 0
        with lab.database.write() as session:
            session.execute(update(Token).values(expires_at=utc_now()))
        with pytest.raises(ApiError) as error:
            ada.runs()
        assert error.value.status == 401


def test_revoking_what_is_not_there(client: Client) -> None:
    made = client.create_token(TokenCreate(name="Ada"))
    client.revoke_token(made.id)
    for token_id in (made.id, "no-such"):
        with pytest.raises(ApiError, match="no token") as error:
            client.revoke_token(token_id)
        assert error.value.status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "x", "role": "root"},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "expires_in_days": -1},
        {"name": "x", "expires_in_days": 1e300},
        {"name": "x", "more": 1},
    ],
)
@on_one_database
def test_what_is_no_request_for_a_token(http: httpx.Client, body: dict[str, object]) -> None:
    assert http.post("/tokens", json=body).status_code == 422


def test_its_last_use_is_noted_once_a_minute(client: Client, address: str, lab: Lab) -> None:
    made = client.create_token(TokenCreate(name="Ada"))
    assert made.last_used_at is None
    with Client(address, made.token) as ada:
        ada.runs()
        first = noted(lab, made.id)
        assert abs(utc_now() - first) < timedelta(minutes=1)
        for _ in range(3):
            ada.runs()
    notes = tokens.UseNotes(lab)
    notes.note(made.id)  # another backend, right afterwards
    assert row_of(lab, made.id).last_used_at == first
    with lab.database.write() as session:
        session.execute(update(Token).values(last_used_at=first - timedelta(seconds=61)))
    notes.note(made.id)
    assert noted(lab, made.id) >= first


def noted(lab: Lab, token_id: str):
    """When it was last used. It is written after the answer, so perhaps in a moment."""
    waiting = threading.Event()
    while (used := row_of(lab, token_id).last_used_at) is None:
        waiting.wait(0.01)
    return used


def test_a_use_is_to_be_noted_once_a_minute(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    notes = tokens.UseNotes(lab)
    assert [notes.is_due("a"), notes.is_due("b"), notes.is_due("a")] == [True, True, False]
    now[0] += 59
    assert not notes.is_due("a")
    now[0] += 1
    assert notes.is_due("a")


@on_one_database
def test_who_reads_does_not_wait_for_who_writes(client: Client, address: str, lab: Lab) -> None:
    made = client.create_token(TokenCreate(name="Ada"))
    with lab.database.write() as session, Client(address, made.token, timeout=4) as ada:
        session.execute(update(Token).values(name="locked"))
        assert ada.runs().total == 0, "answered while the lock is held: SQLite's writers wait for 5 s"


def test_a_stream_ends_soon_after_its_token_is_revoked(
    client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.api.access.RECHECK_SECONDS", 0.1)
    monkeypatch.setattr("backend.api.stream.HEARTBEAT_SECONDS", 0.1)
    run_id = client.launch_run(RunCreate()).id
    made = client.create_token(TokenCreate(name="Ada", role="read"))
    headers = {"Authorization": f"Bearer {made.token}"}
    url = f"{address}/api/v1/runs/{run_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=20, trust_env=False) as answer:
        lines = answer.iter_lines()
        skip_to(lines, ": still here")
        skip_to(lines, ": still here")  # a token that counts goes on
        client.revoke_token(made.id)
        assert "event: ended" not in list(lines), "the run has not ended, and yet the stream did, whole"


def skip_to(lines: Iterator[str], wanted: str) -> None:
    assert any(line == wanted for line in lines)


@on_one_database
def test_the_history_of_a_run_names_who_did_it(client: Client, address: str) -> None:
    made = client.create_token(TokenCreate(name="alice", role="launch"))
    run_id = client.launch_run(RunCreate()).id
    with Client(address, made.token) as alice:
        alice.stop_run(run_id)
    assert [move.actor for move in client.transitions(run_id)] == ["user", "alice"]
