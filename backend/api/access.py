"""Who gets in: whoever holds the token. Asked for before anything of the request is read."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.errors import ProblemResponse

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})


class TokenMiddleware:
    """Answers 401 to every request without the token, but for health and the API's description."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._lets_in(scope):
            response = ProblemResponse(401, headers={"WWW-Authenticate": "Bearer"})
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(given.encode(), self._expected)
