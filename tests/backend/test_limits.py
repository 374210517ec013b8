"""How much, how often, how slowly: rates by token and by address, and bodies by size and time."""

import json
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from backend.api.rates import Rate
from backend.client import Client
from backend.contracts.tokens import Role, TokenCreate
from backend.services.lab import Lab
from backend.settings import Settings
from tests.backend.marks import on_one_database
from tests.backend.test_access import closed_requests

MINUTE_OF_PAGES = 20 * 30 * 6  # 20 live pages, every two seconds, six requests each
MINUTE_OF_WORKERS = 8 * (2 * 60 + 12)  # 8 workers: two posts a second, a beat every five


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update=getattr(request, "param", {}))


def status_of(address: str, token: str | None, *, path: str = "/api/v1/workers", **headers: str) -> int:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.get(f"{address}{path}", headers=headers, trust_env=False).status_code


def a_token(client: Client, role: Role) -> str:
    return client.create_token(TokenCreate(name="test", role=role)).token


def test_the_lab_itself_is_never_throttled_in_ordinary_use(settings: Settings) -> None:
    """Page and workers share one token; a minute of all of them, and a launch from a notebook, fits three times over."""
    machines = Rate(settings.machine_requests_per_minute)
    assert all(machines.take("") for _ in range(3 * (MINUTE_OF_PAGES + MINUTE_OF_WORKERS)))
    fifty_live_runs = Rate(settings.machine_requests_per_minute)
    assert all(fifty_live_runs.take("worker") for _ in range(50 * 2 * 60))


@on_one_database
@pytest.mark.parametrize("settings", [{"requests_per_minute": 5, "machine_requests_per_minute": 12}], indirect=True)
def test_each_token_has_its_own_rate_and_machines_a_higher_one(client: Client, address: str, token: str) -> None:
    people = [a_token(client, "read"), a_token(client, "launch"), a_token(client, "admin")]
    for person in people:
        assert [status_of(address, person) for _ in range(7)] == 5 * [200] + 2 * [429]
    worker = a_token(client, "worker")
    path = "/api/v1/worker/runs/no-such/wish"
    assert [status_of(address, worker, path=path) for _ in range(13)].index(429) == 12
    used = 4  # tokens made with the data directory's own
    assert [status_of(address, token) for _ in range(13)].index(429) == 12 - used


@on_one_database
@pytest.mark.parametrize("settings", [{"requests_per_minute": 3}], indirect=True)
def test_the_refusal_says_when_to_come_back(client: Client, address: str) -> None:
    headers = {"Authorization": f"Bearer {a_token(client, 'read')}"}
    answers = [httpx.get(f"{address}/api/v1/workers", headers=headers, trust_env=False) for _ in range(4)]
    refusal = answers[-1]
    assert refusal.status_code == 429
    assert refusal.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refusal.headers["retry-after"]) <= 120
    assert refusal.headers["retry-after"] in refusal.json()["detail"]


@on_one_database
@pytest.mark.parametrize("settings", [{"requests_per_minute": 4}], indirect=True)
def test_who_has_no_token_is_counted_by_address(address: str, token: str) -> None:
    assert [status_of(address, None, path="/readyz") for _ in range(3)] == 3 * [200]
    assert [status_of(address, None) for _ in range(3)] == [401, 429, 429]
    assert status_of(address, None, path="/healthz") == 429
    assert status_of(address, token) == 200


@on_one_database
@pytest.mark.parametrize("settings", [{"failures_per_minute": 3}], indirect=True)
def test_wrong_tokens_are_soon_not_even_looked_up(
    client: Client, address: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = a_token(client, "read")
    assert [status_of(address, "wrong") for _ in range(5)] == 3 * [401] + 2 * [429]

    def nobody(lab: Lab, secret: str) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr("backend.api.access.holder_of", nobody)
    assert status_of(address, "wrong") == 429
    assert status_of(address, reader) == 429, "from that address, for a minute, others do not get in either"
    assert status_of(address, token) == 200, "but nobody locks the lab's own page and workers out"


@on_one_database
@pytest.mark.parametrize("settings", [{"failures_per_minute": 2}], indirect=True)
def test_an_address_is_that_of_the_peer_whatever_the_request_says(address: str) -> None:
    answers = [status_of(address, "wrong", **{"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
    assert answers == [401, 401, 429, 429]


@on_one_database
@pytest.mark.parametrize("settings", [{"failures_per_minute": 2, "trusted_proxies": ("127.0.0.1",)}], indirect=True)
def test_behind_a_trusted_proxy_an_address_is_what_the_proxy_says(address: str) -> None:
    def wrong(forwarded: str) -> int:
        return status_of(address, "wrong", **{"X-Forwarded-For": forwarded})

    assert [wrong("10.0.0.1") for _ in range(3)] == [401, 401, 429]
    assert wrong("10.0.0.2") == 401
    assert wrong("10.0.0.7, 10.0.0.1") == 429, "what stands before the proxy's own entry was written by the client"


def chunks(size: int) -> Iterator[bytes]:
    """A body without an announced length."""
    yield b'{"notes": "'
    for _ in range(size // 1000):
        yield 1000 * b"x"
    yield b'"}'


SMALL = {
    "max_json_bytes": 20_000,
    "max_worker_json_bytes": 20_000,
    "max_upload_bytes": 20_000,
    "max_artifact_bytes": 20_000,
}


@on_one_database
@pytest.mark.parametrize("settings", [SMALL], indirect=True)
@pytest.mark.parametrize("announced", [True, False])
def test_no_route_takes_a_body_that_is_too_large(
    app: FastAPI, http: httpx.Client, address: str, announced: bool
) -> None:
    taken: list[tuple[str, str, int]] = []
    for method, path in closed_requests(app):
        if method not in {"POST", "PUT", "PATCH"}:
            continue
        kind = "application/zip" if path.endswith("/datasets") else "application/json"
        size = 40_000
        answer = http.request(
            method,
            address + path,
            params={"name": "too-large", "attempt": 1},
            headers={"Content-Type": kind} | ({"Content-Length": str(size + 13)} if announced else {}),
            content=chunks(size),
        )
        if answer.status_code != 413:
            taken.append((method, path, answer.status_code))
    # The run must be there and the attempt its own before a file is taken.
    assert [entry for entry in taken if "artifacts" not in entry[1]] == []
    assert all(status == 404 for _, _, status in taken)


def dribble(address: str, token: str, head: str, pause: float) -> int:
    """The status of the answer to a request whose body never ends, one byte at a time."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        lines = [head, f"Host: {parts.netloc}", f"Authorization: Bearer {token}", "Transfer-Encoding: chunked", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        connection.settimeout(pause)
        for _ in range(400):
            try:
                connection.sendall(b"1\r\n \r\n")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
            return int(re.match(rb"HTTP/1.1 (\d+)", answer)[1])
    raise AssertionError("no answer")


@on_one_database
@pytest.mark.parametrize("settings", [{"body_seconds": 0.5}], indirect=True)
def test_a_body_that_dribbles_in_is_not_waited_for(address: str, token: str) -> None:
    started = time.monotonic()
    assert dribble(address, token, "POST /api/v1/runs HTTP/1.1\r\nContent-Type: application/json", 0.1) == 408
    upload = "POST /api/v1/datasets?name=slow HTTP/1.1\r\nContent-Type: application/zip"
    assert dribble(address, token, upload, 2.0) == 408, "a file that pauses"
    assert time.monotonic() - started < 20


@on_one_database
def test_deep_nesting_and_wide_numbers_are_refused_and_not_worked_on(http: httpx.Client) -> None:
    for content in (
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 100_000,
        json.dumps({"config": {"training": {"epochs": 10**400}}}),
    ):
        answer = http.post("/runs", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
