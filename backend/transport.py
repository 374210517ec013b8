"""One connection to the backend: where it is, how to get in, and its errors."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.contracts.live import EventStream, LiveEvent
from backend.contracts.problems import Problem

_M = TypeVar("_M", bound=BaseModel)
_STREAM_SILENCE_SECONDS = 30.0
"""The backend sends a sign of life every ten seconds."""
_RECONNECT_SECONDS = 1.0


class Connection(BaseSettings):
    """Where the backend is and how to get in, from ``SIMCLR_LAB_*`` variables or ``.env``.

    Without ``SIMCLR_LAB_TOKEN`` the token is read from the file ``token`` in the data directory.
    """

    model_config = SettingsConfigDict(
        env_prefix="SIMCLR_LAB_", env_file=".env", extra="ignore", hide_input_in_errors=True
    )

    home: Path = Path(".simclr-lab")
    api_port: int = 8000
    api_url: str = ""
    token: SecretStr = SecretStr("")

    @property
    def url(self) -> str:
        """The backend's address, without a slash at the end."""
        return (self.api_url or f"http://127.0.0.1:{self.api_port}").rstrip("/")

    def find_token(self) -> str:
        """The token. Raises FileNotFoundError where there is none: the backend makes it at its first start."""
        return self.token.get_secret_value() or (self.home / "token").read_text().strip()


class ApiError(Exception):
    """The backend answered with an error; ``problem`` says what to do."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        fields = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
        super().__init__(f"{problem.title}: {fields or problem.detail}")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status


class BackendUnreachableError(Exception):
    """The backend did not answer: not started, restarting, or the network is down."""


class Transport:
    """Requests and their typed answers."""

    def __init__(self, url: str, token: str, *, timeout: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=timeout, trust_env=False
        )

    @classmethod
    def connect(cls, connection: Connection | None = None, *, timeout: float = 30.0) -> Self:
        """A client for the backend that the settings name."""
        connection = connection or Connection()
        return cls(connection.url, connection.find_token(), timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _follow(self, path: str, after: int | None) -> Iterator[LiveEvent]:
        stream, was_connected = EventStream(after), False
        while True:
            headers = {} if stream.last_id is None else {"Last-Event-ID": str(stream.last_id)}
            try:
                with self._http.stream("GET", path, headers=headers, timeout=_STREAM_SILENCE_SECONDS) as response:
                    _raise_for_problem(response)
                    was_connected = True
                    for event in stream.read(response.iter_lines()):
                        yield event
                        if event.kind in {"ended", "deleted"}:
                            return
            except httpx.TransportError as error:
                if not was_connected:
                    raise BackendUnreachableError(f"{self._http.base_url} does not answer: {error}") from error
            except ApiError as error:
                if not was_connected or error.status < 500:
                    raise
            time.sleep(_RECONNECT_SECONDS)

    def _model(self, model: type[_M], method: str, path: str, **options: Any) -> _M:
        return model.model_validate_json(self._send(method, path, **options).content)

    def _list(self, model: type[_M], path: str, params: dict[str, Any] | None = None) -> list[_M]:
        items: list[Any] = self._send("GET", path, params=params).json()
        return [model.model_validate(item) for item in items]

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise BackendUnreachableError(f"{self._http.base_url} does not answer: {error}") from error
        _raise_for_problem(response)
        return response


def _raise_for_problem(response: httpx.Response) -> None:
    if not response.is_success:
        response.read()
        raise ApiError(_problem(response))


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValueError:
        return Problem(title=response.reason_phrase, status=response.status_code, detail=response.text[:500])
