"""The API's description (OpenAPI): what FastAPI cannot know by itself: the token, the shape of errors, and examples."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from backend.contracts.problems import Problem

SUMMARY = "Launch SimCLR experiments, watch them live, and read their results."
TEXT = """
Every request but `/healthz` and `/readyz` carries a token: `Authorization: Bearer ...`. The backend makes a first one, for
everything, and keeps it in the file `token` in the data directory; `POST /tokens` makes others, each with a role: `read`
for what is read, `launch` for what is changed as well, `worker` for the worker side, `admin` for everything.

Every error is a problem (RFC 9457, `application/problem+json`): `detail` says what to do, and `errors` names the fields
of the request that are wrong, by dotted path.
"""

_OPEN = ("/healthz", "/readyz")
_OF_ALL = (400, 429)
"""What any request may be answered: the host is not ours; too many requests."""
_OF_CLOSED = (401, 403, 503)
_OF_BODIES = (408, 413)
_PROBLEM_ANSWER = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_CONFIG = {"dataset": {"name": "shapes"}, "training": {"epochs": 20, "batch_size": 256}}
_POINTS = [{"label": str(size), "set": {"training.batch_size": size}} for size in (128, 256)]
_EXAMPLES: dict[str, Any] = {
    "RunCreate": {"config": _CONFIG, "name": "first run", "tags": ["demo"]},
    "RunPatch": {"name": "a better name", "tags": ["demo", "kept"]},
    "RunChanges": {"epochs": 60},
    "QueueMove": {"before": "01jd3zv9xkq7m"},
    "EvaluateRequest": {"evaluation": {"linear_sgd": {}, "semi_supervised": {"label_shares": [0.1], "epochs": [30]}}},
    "StudyCreate": {
        "name": "Batch size",
        "base": _CONFIG,
        "axes": [{"name": "batch size", "points": _POINTS}],
        "seeds": [0, 1],
    },
    "EstimateRequest": {"config": _CONFIG},
    "ViewsRequest": {"config": _CONFIG, "images": 6, "step": 0},
    "ClaimRequest": {"worker_id": "gpu-box-4711"},
    "EventBatch": {
        "attempt": 1,
        "events": [
            {"kind": "phase", "attempt": 1, "seq": 1, "time": 1767225600.0, "phase": "pretraining"},
            {
                "kind": "metrics",
                "attempt": 1,
                "seq": 2,
                "time": 1767225601.5,
                "step": 1,
                "epoch": 0.05,
                "values": {"loss": 5.9},
            },
        ],
    },
    "AttemptEnd": {"attempt": 1, "outcome": "succeeded"},
    "WorkerBeat": {
        "id": "gpu-box-4711",
        "host": "gpu-box",
        "gpus": [{"index": 0, "name": "NVIDIA H100", "uuid": "GPU-6f0c", "memory_bytes": 85899345920}],
        "slots_per_gpu": 1,
        "cores": 16,
        "cpu_percent": 12.5,
        "memory_bytes": 137438953472,
        "memory_used_bytes": 17179869184,
        "disk_bytes": 1099511627776,
        "disk_free_bytes": 549755813888,
        "versions": {"python": "3.12.4", "torch": "2.11.0", "simclr_lab": "0.1.0"},
    },
    "TokenCreate": {"name": "Ada's notebook", "role": "launch", "expires_in_days": 90},
    "ImportReport": {"state": "importing", "progress": 0.4},
    "ViewsPreview": {
        "items": [{"label": "cat", "image_png": "iVBORw0...", "view1_png": "iVBORw0...", "view2_png": "iVBORw0..."}]
    },
}


def describe(app: FastAPI) -> None:
    """Complete the description whenever it is made."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(make())
        return make()

    app.openapi = openapi


def _complete(description: dict[str, Any]) -> None:
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"), Problem=problem)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in description["paths"].items():
        for operation in methods.values():
            _complete_operation(operation, is_open=path in _OPEN)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _complete_operation(operation: dict[str, Any], *, is_open: bool) -> None:
    answers = operation["responses"]
    possible = _OF_ALL
    if not is_open:
        operation["security"] = [{"token": []}]
        possible += _OF_CLOSED
    if "requestBody" in operation:
        possible += _OF_BODIES
    for status in possible:
        answers.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    for status, answer in answers.items():
        if int(status) >= 400:
            answer["content"] = _PROBLEM_ANSWER
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    model = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if model:
        body["example"] = _EXAMPLES[model]
