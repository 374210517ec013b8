"""Start the worker of this machine: ``python -m worker.start [--slots-per-gpu N] [--queues runs|interactive|both]``.

One Celery node serves all GPUs of the machine: it has a pool process for each run that it may supervise at once. What
a person waits for (imports, previews) has a node of its own, so that it does not stand behind a run of hours.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from pydantic import ValidationError

from backend.contracts.tasks import INTERACTIVE_QUEUE, RUNS_QUEUE
from worker.hardware import find_gpus
from worker.settings import Settings
from worker.wishes import die_with_parent

SLOTS_VARIABLE = "SIMCLR_LAB_SLOTS_PER_GPU"
_LOOK_SECONDS = 0.2


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m worker.start", description="Start the worker of this machine.")
    parser.add_argument(
        "--slots-per-gpu",
        type=int,
        choices=range(1, 65),
        metavar="N",
        help=f"runs at once on each GPU, without a GPU on the processor; default: {SLOTS_VARIABLE}, or 1",
    )
    parser.add_argument(
        "--queues",
        choices=(RUNS_QUEUE, INTERACTIVE_QUEUE, "both"),
        default=RUNS_QUEUE,
        help=f"what it takes: runs, or with {INTERACTIVE_QUEUE} imports and previews; default: {RUNS_QUEUE}",
    )
    return parser.parse_args(argv)


def node_command(queue: str, slots: int) -> list[str]:
    """The command of the Celery node for a queue, with so many pool processes."""
    node = [sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "worker", "-Q", queue, "-c", str(slots)]
    return [*node, "-P", "prefork", "-n", f"{queue}@%h", "-l", "INFO", "--without-gossip", "--without-mingle"]


def main(argv: Sequence[str] | None = None) -> int:
    """Become the node, or with ``--queues both`` keep two until one ends or SIGTERM or SIGINT. Returns the exit code."""
    args = arguments(argv)
    if args.slots_per_gpu:
        os.environ[SLOTS_VARIABLE] = str(args.slots_per_gpu)
    try:
        slots_per_gpu = Settings().slots_per_gpu
    except ValidationError as error:
        fault = error.errors()[0]
        print(f"SIMCLR_LAB_{str(fault['loc'][0]).upper()}: {fault['msg']}", file=sys.stderr)  # noqa: T201
        return 2
    commands = {
        RUNS_QUEUE: node_command(RUNS_QUEUE, slots_per_gpu * max(1, len(find_gpus()))),
        INTERACTIVE_QUEUE: node_command(INTERACTIVE_QUEUE, 1),
    }
    if args.queues != "both":
        command = commands[args.queues]
        os.execv(command[0], command)  # noqa: S606 (the node takes this process's place, and its signals)
    return keep(list(commands.values()))


def keep(commands: list[list[str]]) -> int:
    """Run the commands until one of them ends, which ends the others; SIGTERM and SIGINT are passed on."""
    nodes = [
        subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)  # noqa: PLW1509 (one thread only)
        for command in commands
    ]

    def stop(_number: int, _frame: object) -> None:
        for node in nodes:
            node.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while all(node.poll() is None for node in nodes):
        time.sleep(_LOOK_SECONDS)
    for node in nodes:
        node.terminate()
    return max(abs(node.wait()) for node in nodes)


if __name__ == "__main__":
    sys.exit(main())
