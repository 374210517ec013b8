"""Who gets in: tokens with their roles on every route, names of the API, and the file that holds the first token."""

import json
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.routing import BaseRoute

from backend.client import Client
from backend.contracts.tokens import Role, TokenCreate
from backend.settings import Settings, find_or_make_token
from tests.backend.marks import on_one_database

OPEN = {"/healthz", "/readyz", "/docs", "/openapi.json"}
ADMIN_ONLY = re.compile(r"/api/v1/(tokens.*|workers/.+/(un)?drain)")
EXPIRES_AT_ONCE = 1e-9


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"failures_per_minute": 100_000, **getattr(request, "param", {})})


def served_routes(found: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of everything that is served, also what the description does not list."""
    for route in found:
        if router := getattr(route, "original_router", None):
            yield from served_routes(router.routes, prefix + route.include_context.prefix)
        elif methods := getattr(route, "methods", None):
            yield from ((method, prefix + getattr(route, "path", "")) for method in methods - {"HEAD"})


def closed_requests(app: FastAPI) -> list[tuple[str, str]]:
    """One request to each route but the open ones; ids are names of nothing."""
    requests = [(method, path) for method, path in sorted(served_routes(app.routes)) if path not in OPEN]
    assert len(requests) > 30
    return [(method, re.sub(r"[{}]", "", path)) for method, path in requests]


def a_token(client: Client, role: Role, days: float | None = None) -> tuple[str, str]:
    """(id, secret)."""
    made = client.create_token(TokenCreate(name="test", role=role, expires_in_days=days))
    return made.id, made.token


def with_token(address: str, token: str | None) -> httpx.Client:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode("latin-1")}
    return httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=20)


@on_one_database
def test_every_route_but_four_is_closed_without_a_token_that_counts(app: FastAPI, address: str, client: Client) -> None:
    _, expired = a_token(client, "admin", EXPIRES_AT_ONCE)
    revoked_id, revoked = a_token(client, "admin")
    client.revoke_token(revoked_id)
    for token in (None, "wrong", "\xe9", "slab_" + 43 * "x", expired, revoked):
        with with_token(address, token) as stranger:
            for method, path in closed_requests(app):
                answer = stranger.request(method, path)
                assert answer.status_code == 401, (token, method, path)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "token" in answer.json()["detail"]
    with httpx.Client(base_url=address, auth=("user", "password"), trust_env=False) as stranger:
        assert stranger.get("/api/v1/runs").status_code == 401


@on_one_database
def test_every_role_gets_in_where_it_belongs_and_nowhere_else(app: FastAPI, address: str, client: Client) -> None:
    for role in ("read", "launch", "worker"):
        _, token = a_token(client, role)
        with with_token(address, token) as holder:
            for method, path in closed_requests(app):
                with holder.stream(method, path) as answer:  # of a live stream only the beginning
                    if expected := refusal_of(role, method, path):
                        assert answer.status_code == 403, (role, method, path)
                        detail = json.loads(answer.read())["detail"]
                        assert f"'{expected}'" in detail
                        assert f"'{role}'" in detail
                    else:
                        assert answer.status_code not in {401, 403, 429, 500}, (role, method, path)


@on_one_database
def test_an_admin_gets_in_everywhere(app: FastAPI, address: str, client: Client) -> None:
    _, token = a_token(client, "admin")
    for secret in (token, find_or_make_token(app.state.lab.settings)):
        with with_token(address, secret) as admin:
            for method, path in closed_requests(app):
                with admin.stream(method, path) as answer:
                    assert answer.status_code not in {401, 403, 429, 500}, (method, path)


def refusal_of(role: Role, method: str, path: str) -> Role | None:
    """The role that the refusal names; None where this one is enough."""
    if path.startswith("/api/v1/worker/"):
        return None if role == "worker" else "worker"
    if ADMIN_ONLY.fullmatch(path):
        return "admin"
    if method == "GET":
        return "read" if role == "worker" else None
    return None if role == "launch" else "launch"


@on_one_database
def test_a_route_that_nobody_has_thought_of_is_closed_too(app: FastAPI, address: str, client: Client) -> None:
    app.add_api_route("/api/v1/of-tomorrow", lambda: "secret", methods=["GET", "POST"])
    _, reader = a_token(client, "read")
    with with_token(address, None) as stranger:
        assert stranger.get("/api/v1/of-tomorrow").status_code == 401
    with with_token(address, reader) as holder:
        assert holder.get("/api/v1/of-tomorrow").status_code == 200
        assert holder.post("/api/v1/of-tomorrow").status_code == 403


@on_one_database
def test_the_description_lists_every_route_but_the_pages_that_show_it(app: FastAPI) -> None:
    described = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    shown_by = {("GET", path) for path in ("/openapi.json", "/docs", "/docs/oauth2-redirect")}
    assert set(served_routes(app.routes)) == described | shown_by


@on_one_database
def test_the_page_of_the_description_asks_nothing_of_anybody_else(address: str) -> None:
    with with_token(address, None) as stranger:
        page = stranger.get("/docs")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        needed = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
        assert len(needed) >= 3
        for path in needed:
            assert path.startswith("/docs/viewer/"), path
            assert stranger.get(path).status_code == 200


@on_one_database
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[", "127.0.0.2"]
)
@pytest.mark.parametrize("path", ["/healthz", "/docs", "/api/v1/runs"])
def test_under_another_name_nobody_gets_in(http: httpx.Client, address: str, host: str, path: str) -> None:
    answer = http.get(f"{address}{path}", headers={"Host": host})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@on_one_database
@pytest.mark.parametrize("settings", [{"allowed_hosts": ("backend", "Lab.Example")}], indirect=True)
def test_names_that_are_allowed(http: httpx.Client) -> None:
    for host in ("127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "backend:8000", "lab.example"):
        assert http.get("/runs", headers={"Host": host}).status_code == 200, host
    assert http.get("/runs", headers={"Host": "other"}).status_code == 400


def preflight(address: str, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    return httpx.options(f"{address}/api/v1/runs", headers=headers, trust_env=False)


@on_one_database
def test_no_page_of_another_origin_may_call(address: str) -> None:
    answer = preflight(address, "https://lab.example")
    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("access-control")]


@on_one_database
@pytest.mark.parametrize("settings", [{"cors_origins": ("https://lab.example",)}], indirect=True)
def test_pages_of_exactly_the_origins_that_are_named_may_call(address: str, http: httpx.Client) -> None:
    assert preflight(address, "https://lab.example").headers["access-control-allow-origin"] == "https://lab.example"
    for other in ("https://lab.example.evil.example", "http://lab.example", "https://lab.example:444", "null"):
        assert "access-control-allow-origin" not in preflight(address, other).headers
        assert "access-control-allow-origin" not in http.get("/runs", headers={"Origin": other}).headers


@on_one_database
def test_no_answer_is_framed_guessed_at_or_kept(app: FastAPI, address: str, http: httpx.Client) -> None:
    app.add_api_route("/api/v1/broken", lambda: 1 / 0, methods=["GET"])
    for answer in (http.get("/tokens"), http.get("/runs"), http.get("/broken"), httpx.get(address, trust_env=False)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@on_one_database
def test_health_and_readiness_answer_without_the_token(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False) as stranger:
        assert stranger.get("/healthz").json() == {"status": "ok"}
        assert stranger.get("/readyz").json() == {"status": "ok"}


@on_one_database
def test_an_address_that_is_not_there_is_closed_too_and_a_problem_with_the_token(
    address: str, http: httpx.Client
) -> None:
    assert httpx.get(f"{address}/api/v1/no-such", trust_env=False).status_code == 401
    answer = http.get("/no-such")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert http.put("/runs").status_code == 405


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "lab", _env_file=None)
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: find_or_make_token(settings), range(16)))
    assert len(tokens) == 1
    assert re.fullmatch(r"slab_[A-Za-z0-9_-]{43}", tokens.pop())
    file = settings.home / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(settings.home.iterdir()) == [file]


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o644)
    made = find_or_make_token(Settings(home=tmp_path, _env_file=None))
    assert len(made) >= 40
    assert file.read_text().strip() == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_token_that_is_given_counts(tmp_path: Path) -> None:
    given = 43 * "g"
    assert find_or_make_token(Settings(home=tmp_path, token=given, _env_file=None)) == given
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize("given", [42 * "g", 42 * "g" + "\xe9", 50 * "g" + " ", 50 * "g" + "\n"])
def test_a_token_that_is_short_or_cannot_be_sent_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ValidationError, match="43 characters or more") as error:
        Settings(home=tmp_path, token=given, _env_file=None)
    assert "gggg" not in str(error.value)
