"""The queue: Celery tasks sent by name, what still waits in the broker, and the answers to previews.

Messages are hints, never the truth: they are sent after the commit, may be lost or doubled, and hold ids.
"""

import json
from typing import Any, cast

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from backend.contracts.datasets import ImportJob
from backend.contracts.previews import PreviewJob
from backend.contracts.tasks import IMPORT_DATASET, INTERACTIVE_QUEUE, PREVIEW_VIEWS, RUNS_QUEUE, TRAIN_RUN

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 90.0
"""Longer than a preview may be waited for (``Settings.preview_seconds``)."""
_ANSWER_KEPT_SECONDS = 60
_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class BrokerUnreachableError(Exception):
    """The broker does not answer: not started, restarting, or the network is down."""


class Broker:
    """One Redis or Valkey. Every method raises BrokerUnreachableError where it does not answer."""

    def __init__(self, url: str) -> None:
        self._app = Celery("simclr_lab", broker=url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            accept_content=["json"],
            task_serializer="json",
            result_serializer="json",
            broker_connection_timeout=_CONNECT_SECONDS,
            broker_transport_options={"socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": 10.0},
        )
        self._redis = redis.Redis.from_url(
            redis_url(url), socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_ANSWER_SECONDS
        )

    def send_hint(self, run_id: str) -> None:
        """Wake a worker that has a free slot. The run is a trace only: it asks for the next one."""
        self._send(TRAIN_RUN, run_id, queue=RUNS_QUEUE)

    def send_import(self, job: ImportJob, task_id: str) -> None:
        """Ask a worker to import a dataset."""
        self._send(IMPORT_DATASET, job.model_dump(mode="json"), queue=INTERACTIVE_QUEUE, task_id=task_id)

    def send_preview(self, job: PreviewJob, *, expires: float) -> None:
        """Ask a worker to draw views; after ``expires`` seconds nobody waits for them any more."""
        self._send(PREVIEW_VIEWS, job.model_dump(mode="json"), queue=INTERACTIVE_QUEUE, task_id=job.id, expires=expires)

    def waiting(self, queue: str) -> set[str]:
        """The ids of the tasks that no worker has taken yet."""
        try:
            messages = cast("list[bytes]", self._redis.lrange(queue, 0, -1))
        except redis.RedisError as error:
            raise BrokerUnreachableError(str(error)) from error
        return {json.loads(message)["headers"]["id"] for message in messages}

    def count_waiting(self, queue: str) -> int:
        """How many messages no worker has taken yet."""
        try:
            return self._redis.llen(queue)
        except redis.RedisError as error:
            raise BrokerUnreachableError(str(error)) from error

    def put_answer(self, preview_id: str, answer: str) -> None:
        """Hand a preview to the request that waits for it, in whichever backend."""
        key = _answer_key(preview_id)
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.rpush(key, answer)
                pipeline.expire(key, _ANSWER_KEPT_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:
            raise BrokerUnreachableError(str(error)) from error

    def wait_for_answer(self, preview_id: str, seconds: float) -> bytes | None:
        """The preview, or None where no worker answers in time."""
        try:
            item = cast("tuple[bytes, bytes] | None", self._redis.blpop([_answer_key(preview_id)], timeout=seconds))
        except redis.RedisError as error:
            raise BrokerUnreachableError(str(error)) from error
        return item[1] if item else None

    def ping(self) -> None:
        """Return where the broker answers."""
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise BrokerUnreachableError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
        self._redis.close()

    def _send(
        self, task: str, argument: Any, *, queue: str, task_id: str | None = None, expires: float | None = None
    ) -> None:
        try:
            self._app.send_task(
                task, args=[argument], queue=queue, task_id=task_id, expires=expires, retry=True, retry_policy=_RETRY
            )
        except (OperationalError, redis.RedisError, OSError) as error:
            raise BrokerUnreachableError(str(error)) from error


def redis_url(url: str) -> str:
    """A Celery broker URL as Redis clients take it: Celery calls a unix socket ``redis+socket``."""
    if not url.startswith("redis+socket://"):
        return url
    return "unix://" + url.removeprefix("redis+socket://").replace("virtual_host=", "db=")


def _answer_key(preview_id: str) -> str:
    return f"simclr-lab:preview:{preview_id}"
