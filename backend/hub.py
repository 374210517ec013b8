"""The hub: wakes whoever waits for a run to change, in this backend and, through the broker's pub/sub, in the others.

All its state belongs to the event loop, so it needs no lock, and whoever waits costs neither a thread nor a query.
A message holds ids only and may be lost: who waits looks by itself now and then, often while the broker is away.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import redis.asyncio
from pydantic import TypeAdapter, ValidationError
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from backend.queue import redis_url

CHANNEL = "simclr-lab:changed"
LOOK_SECONDS = 60.0
"""How often to look without being told: a backend may die between its commit and its message."""
LOOK_SECONDS_ALONE = 2.0
"""The same while the broker is away."""
_RETRY_SECONDS = 0.5
_PING_SECONDS = 10.0
_CONNECT_SECONDS = 2.0
_MOST_UNPUBLISHED = 1000
_EVERY_RUN = "*"
_MESSAGE = TypeAdapter(tuple[str, list[str]])
"""The backend that sends it, and the ids of the runs that have changed."""
_LOG = logging.getLogger(__name__)


class Watch:
    """Waits for one run, or for all of them. Made by ``Hub.watch``."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._event = asyncio.Event()
        self._look_at = time.monotonic() + hub.look_seconds

    async def news(self, seconds: float) -> bool:
        """Wait until there may be something new to read, at most so long. False: there is nothing.

        What was announced since the last call counts, so one may read between two calls and miss nothing.
        """
        left = self._look_at - time.monotonic()
        with anyio.move_on_after(min(seconds, left)):
            await self._event.wait()
        if not self._event.is_set() and time.monotonic() < self._look_at:
            return False
        self._event.clear()
        self._look_at = time.monotonic() + self._hub.look_seconds
        return True

    def wake(self) -> None:
        """There may be something new."""
        self._event.set()


class Hub:
    """One backend's side of the broker's pub/sub."""

    def __init__(self, broker_url: str) -> None:
        self.closing = False
        self.is_connected = False
        self._url = redis_url(broker_url)
        self._name = secrets.token_hex(8)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._unpublished: set[str] = set()
        self._publishable = asyncio.Event()

    @property
    def look_seconds(self) -> float:
        """How long to trust that one is told of everything."""
        return LOOK_SECONDS if self.is_connected else LOOK_SECONDS_ALONE

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Connected, or trying to be; whoever waits is woken at the end."""
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._subscribe())]
        try:
            yield
        finally:
            self._loop = None
            self._end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Tell whoever waits that the backend ends. From any thread, and from a signal handler."""
        self._in_loop(self._end)

    def announce(self, run_ids: set[str]) -> None:
        """These runs have changed, and the change is committed. From any thread; never waits for the broker."""
        self._in_loop(self._announce, run_ids)

    @contextmanager
    def watch(self, run_id: str | None = None) -> Generator[Watch]:
        """Watch a run, or all of them. In the event loop only."""
        watch, key = Watch(self), run_id or _EVERY_RUN
        self._watches[key].add(watch)
        try:
            yield watch
        finally:
            self._watches[key].discard(watch)
            if not self._watches[key]:
                del self._watches[key]

    def _in_loop(self, call: Any, *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed: nobody waits any more
                loop.call_soon_threadsafe(call, *arguments)

    def _end(self) -> None:
        self.closing = True
        self._wake_all()

    def _announce(self, run_ids: set[str]) -> None:
        self._wake(run_ids)
        self._unpublished |= run_ids
        if len(self._unpublished) > _MOST_UNPUBLISHED:
            self._unpublished = {_EVERY_RUN}
        self._publishable.set()

    def _wake(self, run_ids: Iterable[str]) -> None:
        if _EVERY_RUN in run_ids:
            self._wake_all()
            return
        for key in (*run_ids, _EVERY_RUN):
            for watch in self._watches.get(key, ()):
                watch.wake()

    def _wake_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    async def _publish(self) -> None:
        async with self._client() as client:
            while True:
                await self._publishable.wait()
                self._publishable.clear()
                batch, self._unpublished = self._unpublished, set()
                try:
                    await client.publish(CHANNEL, _MESSAGE.dump_json((self._name, sorted(batch))))
                except Exception:  # noqa: BLE001 - whatever it is: later again; the subscription says it in the log
                    self._unpublished |= batch
                    self._publishable.set()
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _subscribe(self) -> None:
        has_complained = False
        while True:
            try:
                async with self._client() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    await self._receive(pubsub)
            except Exception as error:  # noqa: BLE001 - the loop must outlive whatever fails in it
                if self.is_connected or not has_complained:
                    _LOG.warning("changes made in other backends are seen late, the broker does not answer: %s", error)
                    has_complained = True
            if self.is_connected:
                self.is_connected = False
                self._wake_all()  # from now on they look by themselves
            await asyncio.sleep(_RETRY_SECONDS)

    async def _receive(self, pubsub: PubSub) -> None:
        """Until the connection breaks. One that is silent is asked for a sign of life first."""
        asked = False
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=_PING_SECONDS)
            if message is None:
                if asked:
                    raise redis.ConnectionError("it is silent")
                await pubsub.ping()
            elif message["type"] == "subscribe":
                self.is_connected = True
                self._wake_all()  # what was announced meanwhile was missed
            elif message["type"] == "message":
                self._hear(message["data"])
            asked = message is None

    def _hear(self, data: bytes) -> None:
        try:
            sender, run_ids = _MESSAGE.validate_json(data)
        except ValidationError:
            _LOG.warning("a message on channel %s that no backend has sent", CHANNEL)
            return
        if sender != self._name:
            self._wake(run_ids)

    def _client(self) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(
            self._url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=_CONNECT_SECONDS
        )
