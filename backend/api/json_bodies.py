"""Reading JSON bodies strictly: a size and a time limit, and none of what Python's parser lets through and no database takes.

That is NaN and Infinity, and in texts NUL and halves of surrogate pairs. In a worker's reports such letters are replaced:
a log line is not to stop a run.
"""

import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anyio
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from backend.api.dependencies import lab_of
from backend.services.errors import TooLargeError, TooSlowError

_M = TypeVar("_M", bound=BaseModel)
_WORKER_SIDE = "/api/v1/worker/"


class StrictJsonRoute(APIRoute):
    """A route whose JSON body is small enough to hold and has finite numbers only."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Look at the body before FastAPI does, which would answer 400 to whatever is raised while it reads."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            if request.method in {"POST", "PUT", "PATCH"}:
                await strict.check()
            return await handler(strict)

        return handle


async def read_json(request: Request, model: type[_M]) -> _M:
    """The body as a model, for a route that takes other bodies too. Raises RequestValidationError, TooLargeError."""
    strict = _StrictRequest(request.scope, request.receive)
    await strict.check()
    try:
        return model.model_validate_json(await strict.body())
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from error


class _StrictRequest(Request):
    async def stream(self) -> AsyncGenerator[bytes]:
        settings, size = lab_of(self).settings, 0
        from_worker = self.url.path.startswith(_WORKER_SIDE)
        limit = settings.max_worker_json_bytes if from_worker else settings.max_json_bytes
        async for chunk in super().stream():
            size += len(chunk)
            if size > limit:
                raise TooLargeError(f"The request is larger than the limit of {limit} bytes.")
            yield chunk

    async def check(self) -> None:
        """Read the body. Raises TooSlowError, and RequestValidationError for what is no JSON or cannot be stored."""
        try:
            with anyio.fail_after(lab_of(self).settings.body_seconds):
                content = await self.body()
        except TimeoutError as error:
            raise TooSlowError("The body did not come in time: send it again.") from error
        try:
            value = json.loads(content or b"null")
        except UnicodeDecodeError as error:
            raise _wrong_body("is no JSON: it is not UTF-8") from error
        except RecursionError as error:
            raise _wrong_body("is nested too deeply") from error
        except ValueError as error:
            raise _wrong_body(f"is no JSON: {error}") from error
        for path in _not_finite(value):
            raise RequestValidationError([{"loc": ("body", *path), "msg": "must be a finite number", "type": "finite"}])
        for path in _not_storable(value):
            if self.url.path.startswith(_WORKER_SIDE):
                self._body = json.dumps(_storable(value)).encode()
                break
            message = "must hold no NUL and no half of a surrogate pair"
            raise RequestValidationError([{"loc": ("body", *path), "msg": message, "type": "text"}])


def _wrong_body(message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": message, "type": "json_invalid"}])


def _not_finite(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The paths of NaN and infinite numbers in a parsed body."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield ()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from ((key, *path) for path in _not_finite(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ((index, *path) for path in _not_finite(item))


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _not_storable(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The paths of texts that no database takes, and of objects with such a key."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            yield ()
    elif isinstance(value, dict):
        for key, item in value.items():
            if _UNSTORABLE.search(key):
                yield ()
            yield from ((key, *path) for path in _not_storable(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ((index, *path) for path in _not_storable(item))


def _storable(value: Any) -> Any:
    """The same with the replacement character in their place."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value
