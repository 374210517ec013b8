"""The description of the API: complete enough to work from."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from backend.api.app import create_app
from backend.contracts.changes import RunChanges
from backend.contracts.datasets import ImportReport
from backend.contracts.estimates import EstimateRequest
from backend.contracts.previews import ViewsPreview, ViewsRequest
from backend.contracts.runs import (
    AttemptEnd,
    ClaimRequest,
    EvaluateRequest,
    EventBatch,
    QueueMove,
    RunCreate,
    RunPatch,
)
from backend.contracts.studies import StudyCreate
from backend.contracts.tokens import TokenCreate
from backend.contracts.workers import WorkerBeat
from backend.settings import Settings

BODIES: list[type[BaseModel]] = [
    RunCreate,
    RunPatch,
    RunChanges,
    QueueMove,
    EvaluateRequest,
    StudyCreate,
    EstimateRequest,
    ViewsRequest,
    ViewsPreview,
    ClaimRequest,
    EventBatch,
    AttemptEnd,
    WorkerBeat,
    ImportReport,
    TokenCreate,
]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app: FastAPI = create_app(Settings(home=tmp_path_factory.mktemp("lab"), redis_url="redis://x", _env_file=None))
    app.state.lab.close()
    return app.openapi()


def operations(description: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_has_a_summary_a_description_and_a_tag(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


def test_every_parameter_is_described(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_json_body_has_an_example(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            assert body.get("example") or body.get("examples"), name


def test_every_example_is_what_its_model_takes(description: dict[str, Any]) -> None:
    models = {model.__name__: model for model in BODIES}
    seen: set[str] = set()
    for _, operation in operations(description):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name:
            models[name].model_validate(body["example"])
            seen.add(name)
    assert seen == set(models)


def test_errors_are_problem_details(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (name, status)
    assert "Problem" in description["components"]["schemas"]


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for value in part.values() for found in references(value)]
        return [found for item in part for found in references(item)] if isinstance(part, list) else []

    for reference in references(description):
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_the_description_says_that_a_token_is_asked_for(description: dict[str, Any]) -> None:
    (scheme,) = description["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for name, operation in operations(description):
        assert bool(operation.get("security")) == (not name.endswith(("/healthz", "/readyz"))), name
