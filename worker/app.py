"""The Celery application of the worker, which ``python -m worker.start`` starts with the options that fit the machine.

Messages are acknowledged as soon as they are taken; what a dead worker leaves undone comes back by its lease.
"""

import importlib
import logging
import threading
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import after_setup_logger, worker_process_init, worker_ready, worker_shutting_down

from backend.contracts.tasks import RUNS_QUEUE
from worker.beat import beat_for_ever
from worker.draining import DRAINING
from worker.settings import Settings
from worker.wishes import die_with_parent

app = Celery("simclr_lab", broker=Settings().broker_url, include=["worker.tasks"])
app.conf.update(
    task_acks_late=False,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_log_format="%(levelname)s: %(message)s",
)
warnings.filterwarnings("ignore", category=SecurityWarning)  # of root with pickle, which is not accepted


@after_setup_logger.connect
def log_runs_only(**_: object) -> None:
    """What a person wants to read is what happens to runs; every message and every request is too much."""
    for name in ("httpx", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_ready.connect
def start_beat(sender: Any, **_: object) -> None:
    """The node that takes runs is what a person calls a worker: it says that it is alive."""
    if RUNS_QUEUE in sender.app.amqp.queues.consume_from:
        threading.Thread(target=beat_for_ever, args=(Settings(), threading.Event()), name="beat", daemon=True).start()


@worker_shutting_down.connect
def begin_draining(**_: object) -> None:
    """A warm shutdown waits for the task at hand: tell it to make a checkpoint and give the run back."""
    DRAINING.raise_()


@worker_process_init.connect
def stay_with_parent(**_: object) -> None:
    """A pool process whose node was killed would go on unseen."""
    die_with_parent()


@worker_process_init.connect
def load_torch_early(**_: object) -> None:
    """On the node for what a person waits for: from a thread, as Celery gives a new process four seconds only."""
    if RUNS_QUEUE not in app.amqp.queues.consume_from:
        threading.Thread(target=importlib.import_module, args=("worker.previews",), daemon=True).start()
