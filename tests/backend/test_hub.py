"""The hub: who waits is woken, by this backend, by another through a real Valkey, or by a clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from backend import hub as hub_module
from backend.hub import CHANNEL, Hub
from tests.backend.conftest import running_valkey

NEVER = 1000.0


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is woken was woken by an announcement."""
    monkeypatch.setattr(hub_module, "LOOK_SECONDS", NEVER)
    monkeypatch.setattr(hub_module, "LOOK_SECONDS_ALONE", NEVER)
    monkeypatch.setattr(hub_module, "_RETRY_SECONDS", 0.02)


@asynccontextmanager
async def running(socket: Path, *, connected: bool = True) -> AsyncIterator[Hub]:
    hub = Hub(f"redis+socket://{socket}")
    async with hub.running():
        if connected:
            await until(lambda: hub.is_connected)
        yield hub


def play(scene: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: Playwright leaves its event loop running in the one that other tests share."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, scene).result()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_an_announcement_wakes_who_watches_that_run_or_all(valkey: Path) -> None:
    async def scene() -> None:
        async with running(valkey) as hub:
            with hub.watch("a") as a, hub.watch("b") as b, hub.watch() as every:
                await asyncio.to_thread(hub.announce, {"a"})
                assert await a.news(20)
                assert await every.news(20)
                assert not await b.news(0.05)

    play(scene())


def test_what_was_announced_between_two_waits_is_not_missed(valkey: Path) -> None:
    async def scene() -> None:
        async with running(valkey) as hub:
            with hub.watch("a") as watch:
                hub.announce({"a"})
                await asyncio.sleep(0.05)
                assert await watch.news(20)
                assert not await watch.news(0.05)

    play(scene())


def test_another_backend_is_woken_once(valkey: Path) -> None:
    async def scene() -> None:
        async with running(valkey) as one, running(valkey) as other:
            with other.watch("a") as watch, other.watch("b") as bystander:
                one.announce({"a"})
                assert await watch.news(20)
                assert not await watch.news(0.1)
                assert not await bystander.news(0.05)

    play(scene())


def test_very_many_runs_become_a_message_that_wakes_all(valkey: Path) -> None:
    async def scene() -> None:
        async with running(valkey) as one, running(valkey) as other:
            with other.watch("the last") as watch:
                one.announce({f"run {number}" for number in range(2000)})
                assert await watch.news(20)

    play(scene())


def test_a_broker_that_comes_back_is_used_again_and_nothing_is_lost(tmp_path: Path) -> None:
    socket = tmp_path / "s"

    async def scene() -> None:
        with running_valkey(socket) as broker:
            async with running(socket) as one, running(socket) as other:
                broker.kill()
                broker.wait()
                await until(lambda: not (one.is_connected or other.is_connected))
                with other.watch("a") as watch:
                    one.announce({"a"})
                    assert not await watch.news(0.1)
                    with running_valkey(socket):
                        await until(lambda: one.is_connected and other.is_connected)
                        assert await watch.news(20)
                        while await watch.news(0.2):
                            pass
                        one.announce({"a"})
                        assert await watch.news(20)

    play(scene())


def test_without_a_broker_who_waits_looks_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LOOK_SECONDS_ALONE", 0.05)

    async def scene() -> None:
        async with running(tmp_path / "nobody", connected=False) as hub:
            with hub.watch("a") as watch:
                assert await watch.news(20)
                assert await watch.news(20)

    play(scene())


def test_what_no_backend_has_sent_does_no_harm(valkey: Path, broker: redis.Redis) -> None:
    async def scene() -> None:
        async with running(valkey) as one, running(valkey) as other:
            for message in (b"", b"\xff", b"5", b'["x"]', b'["x", 5]', b'{"a": ["b"]}'):
                broker.publish(CHANNEL, message)
            with other.watch("a") as watch:
                one.announce({"a"})
                assert await watch.news(20)
            assert other.is_connected

    play(scene())


def test_who_waits_is_woken_when_the_backend_ends(valkey: Path) -> None:
    async def scene() -> None:
        async with running(valkey) as hub:
            with hub.watch("a") as watch:
                await asyncio.to_thread(hub.close)
                assert await watch.news(20)
                assert hub.closing

    play(scene())


def test_a_hub_that_is_not_running_takes_announcements(valkey: Path) -> None:
    hub = Hub(f"redis+socket://{valkey}")
    hub.announce({"a"})
    hub.close()
