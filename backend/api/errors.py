"""The one place that turns errors into problem details (RFC 9457)."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from backend.api.headers import ON_EVERY_ANSWER
from backend.contracts.problems import FieldError, Problem
from backend.services import errors

PROBLEM_JSON = "application/problem+json"

_STATUS: dict[type[errors.ServiceError], int] = {
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.LeaseLostError: 409,
    errors.TooSlowError: 408,
    errors.TooLargeError: 413,
    errors.InvalidError: 422,
    errors.UnavailableError: 503,
    errors.NoAnswerError: 504,
    errors.NoSpaceError: 507,
}
_DETAIL = {
    401: "Send a token as 'Authorization: Bearer ...': the one in the file 'token' in the data directory, or one that an "
    "admin made for you and that has neither expired nor been revoked.",
    404: "There is nothing at this address. The API is described at /docs.",
    405: "This address knows other methods, see /docs.",
    500: "The backend failed. Its log says why.",
}


class ProblemResponse(JSONResponse):
    """A problem as ``application/problem+json``."""

    media_type = PROBLEM_JSON

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        problem = Problem(
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail or _DETAIL.get(status, HTTPStatus(status).description),
            errors=list(errors),
        )
        super().__init__(problem.model_dump(), status_code=status, headers=headers)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may answer with these errors, for OpenAPI."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def handle_errors(app: FastAPI) -> None:
    """Install the handlers."""
    app.add_exception_handler(errors.ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, _unexpected_error)


def _service_error(_: Request, error: Exception) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    found = error.errors if isinstance(error, errors.InvalidError) else ()
    return ProblemResponse(status, str(error), errors=found)


def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    found = [FieldError(field=_field(item["loc"]), message=item["msg"]) for item in error.errors()]
    return ProblemResponse(422, "; ".join(f"{e.field}: {e.message}" for e in found), errors=found)


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    standard = HTTPStatus(error.status_code).phrase
    detail = "" if error.detail == standard else error.detail
    return ProblemResponse(error.status_code, detail, headers=dict(error.headers or {}))


def _client_gone(_: Request, __: Exception) -> Response:
    return ProblemResponse(400, "The connection broke off before the whole body had come.")


def _unexpected_error(_: Request, __: Exception) -> Response:
    return ProblemResponse(500, headers=ON_EVERY_ANSWER)  # made outside of what gives them to other answers


def _field(location: Iterable[Any]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:]) or parts[0]
