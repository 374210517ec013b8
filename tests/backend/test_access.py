"""Who gets in: the token, and the file that holds it."""

import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from backend.settings import Settings, find_or_make_token
from tests.backend.marks import on_one_database

OPEN = {"/healthz", "/readyz"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of every route that the description lists."""
    return [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]


@on_one_database
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic dXNlcjp4", "Bearer \xe9"])
def test_every_route_but_health_is_closed_without_the_token(
    app: FastAPI, address: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    closed = [(method, path) for method, path in routes(app) if path not in OPEN]
    assert len(closed) > 25
    with httpx.Client(base_url=address, headers=headers, trust_env=False) as stranger:
        for method, path in closed:
            answer = stranger.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "token" in answer.json()["detail"]


@on_one_database
def test_the_description_lists_every_route(app: FastAPI) -> None:
    served = {(method, route.path) for route in served_routes(app.routes) for method in route.methods}
    assert served == {(method, path.removeprefix("/api/v1")) for method, path in routes(app)}


def served_routes(found: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    """The routes behind the routers that they were included with; their paths lack ``/api/v1``."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif router := getattr(route, "original_router", None):
            yield from served_routes(router.routes)


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
    assert len(tokens.pop()) >= 40
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
    assert find_or_make_token(Settings(home=tmp_path, token="given", _env_file=None)) == "given"
    assert not (tmp_path / "token").exists()
