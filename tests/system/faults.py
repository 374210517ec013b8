"""Faults that happen to a running lab: processes killed, stopped and drained, the broker and the database cut off."""

import contextlib
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence

import psutil
import redis

from backend.contracts.tasks import RUNS_QUEUE, embedded_broker_socket, embedded_broker_url
from backend.queue import Broker
from tests.postgres import PostgresServer
from tests.system.conftest import RunningLab

STALL_SECONDS = 10.0
LONGER_THAN_LEASE = (1.0, 4.0)
"""Seconds, at least and at most, that a frozen process is frozen after its lease is over."""

Later = Callable[[float, Callable[[], object]], object]


class NoVictimError(Exception):
    """There is nothing at this moment that the fault could hit."""


class Faults:
    """What can go wrong in a lab, on PostgreSQL where there is a server.

    Each method hits something that ``choice`` picks, and returns what. Raises NoVictimError, or psutil.NoSuchProcess or
    redis.ConnectionError, where there is nothing to hit. What ends by itself is ended through ``later``, a function
    that calls another one after so many seconds; calling it twice does no harm.
    """

    def __init__(self, lab: RunningLab, server: PostgresServer | None, choice: random.Random, later: Later) -> None:
        self._lab, self._server, self._random, self._later = lab, server, choice, later
        self._stalled_until = 0.0
        self._lease_seconds = float(lab.environment["SIMCLR_LAB_LEASE_SECONDS"])

    def _one_of(self, word: str) -> psutil.Process:
        """A process whose command holds this word."""
        found = [process for process in self._lab.processes() if word in process.cmdline() and not _respawns(process)]
        if not found:
            raise NoVictimError
        return self._random.choice(sorted(found, key=lambda process: process.pid))

    def _trainer(self) -> psutil.Process:
        return self._one_of("worker.train")

    def _supervisor(self) -> psutil.Process:
        return _parent(self._trainer())

    def _worker(self) -> psutil.Process:
        return _parent(self._supervisor())

    def _broker(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(embedded_broker_socket(self._lab.home)))

    def kill_trainer(self) -> str:
        return _kill(self._trainer())

    def kill_pool_process(self) -> str:
        return _kill(self._supervisor())

    def kill_worker(self) -> str:
        return _kill(self._worker())

    def drain_worker(self) -> str:
        worker = self._worker()
        worker.terminate()
        return f"process {worker.pid}"

    def freeze(self) -> str:
        """Stop a supervisor and its training process until their lease is over for long; then they go on."""
        trainer = self._trainer()
        frozen = [_parent(trainer), trainer]
        seconds = self._lease_seconds + self._random.uniform(*LONGER_THAN_LEASE)
        self._later(seconds, lambda: _let_go_on(frozen[::-1]))
        for process in frozen:
            process.suspend()
        return f"processes {[process.pid for process in frozen]} for {seconds:.1f} s"

    def empty_broker(self) -> str:
        with self._broker() as broker:
            waiting = broker.llen(RUNS_QUEUE)
            broker.flushall()
        return f"{waiting} messages"

    def lose_broker(self) -> str:
        """Kill it, and what it had on disk is gone as well."""
        with self._broker() as broker:
            server = psutil.Process(broker.info("server")["process_id"])
        shutil.rmtree(self._lab.home / "valkey" / "appendonlydir")
        return _kill(server)

    def double_messages(self) -> str:
        with self._broker() as broker:
            waiting: list[bytes] = broker.lrange(RUNS_QUEUE, 0, -1)
            if waiting:
                broker.lpush(RUNS_QUEUE, *waiting)
        begun = [folder.name for folder in (self._lab.home / "runs").iterdir()]
        sender = Broker(embedded_broker_url(self._lab.home))
        for run_id in begun:
            sender.send_hint(run_id)
        sender.close()
        return f"{len(waiting)} that wait, and those of {len(begun)} runs that have begun or ended"

    def kill_backend(self) -> str:
        return _kill(self._one_of("backend.main"))

    def stall_database(self) -> str:
        """It does not answer for ten seconds: PostgreSQL's processes are stopped, SQLite is locked."""
        if time.monotonic() < self._stalled_until:
            raise NoVictimError  # to wait for the lock here would keep whoever holds it from letting go
        self._stalled_until = time.monotonic() + STALL_SECONDS + 1.0
        if self._server is None:
            connection = sqlite3.connect(
                self._lab.home / "simclr-lab.db", timeout=30, isolation_level=None, check_same_thread=False
            )
            connection.execute("BEGIN EXCLUSIVE")
            self._later(STALL_SECONDS, connection.close)
        else:
            processes = self._server.processes()
            self._later(STALL_SECONDS, lambda: _let_go_on(processes))
            for process in processes:
                process.suspend()
        return f"{STALL_SECONDS:g} s"


FAULTS: dict[str, Callable[[Faults], str]] = {
    "trainer killed": Faults.kill_trainer,
    "pool process killed": Faults.kill_pool_process,
    "worker killed": Faults.kill_worker,
    "worker drained": Faults.drain_worker,
    "frozen past its lease": Faults.freeze,
    "broker emptied": Faults.empty_broker,
    "broker lost": Faults.lose_broker,
    "messages doubled": Faults.double_messages,
    "backend killed": Faults.kill_backend,
    "database stalled": Faults.stall_database,
}


def _parent(process: psutil.Process) -> psutil.Process:
    parent = process.parent()
    if parent is None or _respawns(parent):
        raise NoVictimError
    return parent


def _respawns(process: psutil.Process) -> bool:
    return "backend.respawn" in process.cmdline()


def _kill(process: psutil.Process) -> str:
    process.kill()
    return f"process {process.pid}"


def _let_go_on(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
