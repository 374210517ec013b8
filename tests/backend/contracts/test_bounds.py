"""Every number that can be sent has a smallest and a largest value, and every text, list and mapping a greatest length."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from backend.contracts.changes import RunChanges
from backend.contracts.config import ExperimentConfig
from backend.contracts.datasets import DatasetCreate, ImportReport
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

SENT: tuple[type[BaseModel], ...] = (
    ExperimentConfig,
    RunCreate,
    RunPatch,
    RunChanges,
    QueueMove,
    EvaluateRequest,
    StudyCreate,
    EstimateRequest,
    ViewsRequest,
    DatasetCreate,
    TokenCreate,
    ClaimRequest,
    EventBatch,
    AttemptEnd,
    WorkerBeat,
    ImportReport,
    ViewsPreview,
)
LOWEST, HIGHEST = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")
FREE_FORM = {"AxisPoint.set": "values are checked as those of the config field that they set"}


def unbounded(schema: dict[str, Any]) -> Iterator[str]:
    """Where in a JSON schema something may be as large as it likes."""
    for name, definition in {"": schema, **schema.get("$defs", {})}.items():
        yield from _unbounded(definition, name)


def _unbounded(part: dict[str, Any], path: str) -> Iterator[str]:
    if path in FREE_FORM:
        return
    match part.get("type"):
        case "integer" | "number" if not (_has(part, LOWEST) and _has(part, HIGHEST)):
            yield path
        case "string" if not ({"maxLength", "enum", "const", "format"} & part.keys() or _ends(part.get("pattern"))):
            yield path
        case "array":
            if not ({"maxItems", "prefixItems"} & part.keys()):
                yield path
            yield from _unbounded(part.get("items", {}), f"{path}[]")
        case "object" if "additionalProperties" in part and "properties" not in part and path:
            if "maxProperties" not in part:
                yield path
            if isinstance(part["additionalProperties"], dict):
                yield from _unbounded(part["additionalProperties"], f"{path}.*")
            yield from _unbounded({"type": "string", **part.get("propertyNames", {})}, f"{path} key")
        case _:
            pass
    for name, value in part.get("properties", {}).items():
        yield from _unbounded(value, f"{path}.{name}")
    for choice in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _unbounded(choice, path)


def _ends(pattern: str | None) -> bool:
    """Whether what matches is of limited length."""
    return pattern is not None and pattern.startswith("^") and pattern.endswith("$") and not set("+*") & set(pattern)


def _has(part: dict[str, Any], bounds: tuple[str, ...]) -> bool:
    return any(bound in part for bound in bounds)


@pytest.mark.parametrize("model", SENT, ids=lambda model: model.__name__)
def test_nothing_that_is_sent_may_be_as_large_as_it_likes(model: type[BaseModel]) -> None:
    assert sorted(set(unbounded(model.model_json_schema()))) == []


@pytest.mark.parametrize("kind", [int, float, str, list[int], dict[str, int], int | None])
def test_what_has_no_bounds_is_found(kind: Any) -> None:
    class Loose(BaseModel):
        value: kind

    assert list(unbounded(Loose.model_json_schema()))
