"""Who gets in, and what for. Asked before anything of the request is read.

The role that a request needs follows from its method and path alone, here and nowhere else: a route that is added later is
closed without being told to.
"""

import hmac
import time

import anyio
from anyio.lowlevel import checkpoint
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import ProblemResponse
from backend.api.rates import Rate
from backend.contracts.tokens import Role
from backend.services.actor import ACTOR
from backend.services.errors import UnavailableError
from backend.services.lab import Lab
from backend.services.tokens import Holder, UseNotes, holder_of

VIEWER = "/docs/viewer"
"""The files that ``/docs`` shows the description with."""
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
RECHECK_SECONDS = 2.0
"""How often a stream asks whether its token still counts."""
_OWNER = Holder(token_id=None, role="admin")


def needed_role(method: str, path: str) -> Role:
    """The role without which this request is refused."""
    place = path.removeprefix("/api/v1")
    if place.startswith("/worker/"):
        return "worker"
    reads = method in {"GET", "HEAD"}
    if place.startswith("/tokens") or (place.startswith("/workers/") and not reads):
        return "admin"
    return "read" if reads else "launch"


class AccessMiddleware:
    """Answers 401 without a valid token, 403 where its role is too low, and 429 where there are too many requests."""

    def __init__(self, app: ASGIApp, lab: Lab, token: str) -> None:
        settings = lab.settings
        self._app, self._lab, self._own = app, lab, token.encode()
        self._people, self._machines = Rate(settings.requests_per_minute), Rate(settings.machine_requests_per_minute)
        self._strangers, self._failures = Rate(settings.requests_per_minute), Rate(settings.failures_per_minute)
        self._notes = UseNotes(lab)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        secret = _secret(scope)
        admitted = await self._examine(scope, secret)
        if isinstance(admitted, Holder):
            ACTOR.set(admitted.name)  # of this request: each has a context of its own
        if isinstance(admitted, ProblemResponse):
            await admitted(scope, receive, send)
        elif admitted is None or admitted.token_id is None:
            await self._app(scope, receive, send)
        else:
            with anyio.CancelScope() as request:
                await self._app(scope, receive, _EndsWithToken(send, self._lab, secret, request))
            if self._notes.is_due(admitted.token_id):  # after the answer: nobody waits for this
                await run_in_threadpool(self._notes.note, admitted.token_id)

    async def _examine(self, scope: Scope, secret: str) -> Holder | ProblemResponse | None:
        """Who asks, a refusal, or None: a stranger at a place that is open to all."""
        path: str = scope["path"]
        address: str = scope["client"][0] if scope.get("client") else ""
        is_open = path in OPEN_PATHS or path.startswith(f"{VIEWER}/")
        if is_open or not secret:
            if not self._strangers.take(address):
                return _too_many("requests without a token", self._strangers.seconds_left(address))
            return None if is_open else _unknown()
        try:
            holder = await self._identify(secret, address)
        except UnavailableError as error:
            return ProblemResponse(503, str(error))
        if isinstance(holder, ProblemResponse):
            return holder
        needed = needed_role(scope["method"], path)
        if not holder.may(needed):
            return ProblemResponse(
                403, f"This needs a token of the role '{needed}' (or 'admin'); the role of yours is '{holder.role}'."
            )
        is_machine = holder.token_id is None or holder.role == "worker"
        rate, key = self._machines if is_machine else self._people, holder.token_id or ""
        return holder if rate.take(key) else _too_many("requests with this token", rate.seconds_left(key))

    async def _identify(self, secret: str, address: str) -> Holder | ProblemResponse:
        """Whose secret this is. The lab's own page and workers are known first: no stranger can lock them out."""
        if hmac.compare_digest(secret.encode(), self._own):
            return _OWNER
        if self._failures.is_spent(address):
            return _too_many("wrong tokens from this address", self._failures.seconds_left(address))
        holder = await run_in_threadpool(holder_of, self._lab, secret)
        if holder is None:
            self._failures.take(address)
            return _unknown()
        return holder


class _EndsWithToken:
    """Sends an answer on, and ends one without a length (a stream) soon after its token stops to count."""

    def __init__(self, send: Send, lab: Lab, secret: str, request: anyio.CancelScope) -> None:
        self._send, self._lab, self._secret, self._request = send, lab, secret, request
        self._is_stream = False
        self._check_at = time.monotonic() + RECHECK_SECONDS

    async def __call__(self, message: Message) -> None:
        """Send, or end."""
        if message["type"] == "http.response.start":
            self._is_stream = "content-length" not in Headers(raw=message["headers"])
        elif self._is_stream and message.get("more_body") and time.monotonic() > self._check_at:
            if await self._is_gone():
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                self._request.cancel()
                await checkpoint()
            self._check_at = time.monotonic() + RECHECK_SECONDS
        await self._send(message)

    async def _is_gone(self) -> bool:
        try:
            return await run_in_threadpool(holder_of, self._lab, self._secret) is None
        except UnavailableError:
            return False  # asked again soon


def _secret(scope: Scope) -> str:
    """The token that was sent, '' where there is none."""
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _unknown() -> ProblemResponse:
    return ProblemResponse(401, headers={"WWW-Authenticate": "Bearer"})


def _too_many(what: str, seconds: int) -> ProblemResponse:
    detail = f"Too many {what} in a minute: try again in {seconds} s."
    return ProblemResponse(429, detail, headers={"Retry-After": str(seconds)})
