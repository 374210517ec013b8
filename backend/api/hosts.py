"""Under which names the API answers: a web page whose name was made to point here (DNS rebinding) gets nothing."""

from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.errors import ProblemResponse


class HostMiddleware:
    """Answers 400 to a request whose Host is none of these names or addresses."""

    def __init__(self, app: ASGIApp, hosts: AbstractSet[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse."""
        if scope["type"] != "lifespan" and _host(Headers(scope=scope).get("host", "")) not in self._hosts:
            detail = "The API does not answer under this name. Whoever runs it can add it: SIMCLR_LAB_ALLOWED_HOSTS."
            await ProblemResponse(400, detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
