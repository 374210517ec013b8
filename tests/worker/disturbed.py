"""``python -m tests.worker.disturbed DISTURBANCE ARGUMENT COMMAND...``: the training process, with a fault in it.

die_writing BYTES:CHECKPOINT   SIGKILL when so many bytes of it are written; -1: when all are, but it has no name yet
room IMAGES[:CALLS]            no more images than this pass the net at once, after its first CALLS calls
full BYTES                     the event log takes so many bytes more; of the write that exceeds them it takes a part
"""

import errno
import os
import signal
import sys
from pathlib import Path

import torch

from worker import train
from worker.simclr.nets.model import SimCLR

MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB of which 1.50 GiB is free."
)


def die_writing(argument: str) -> None:
    position, name = argument.split(":")
    limit, opened, replaced = int(position), Path.open, Path.replace

    def dying_replace(self, target):
        if Path(target).name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return replaced(self, target)

    def dying_open(self, mode="r", *args, **options):
        file = opened(self, mode, *args, **options)
        if name not in self.name or mode != "wb":
            return file
        return _Dying(file, limit)

    if limit < 0:
        Path.replace = dying_replace
    else:
        Path.open = dying_open


class _Dying:
    """A file in the writing of which the process is killed."""

    def __init__(self, file, limit):
        self._file, self._left = file, limit

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def write(self, content):
        content = bytes(content)
        if len(content) >= self._left:
            self._file.write(content[: self._left])
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= len(content)
        return self._file.write(content)


def room(argument: str) -> None:
    images, _, calls = argument.partition(":")
    forward, seen = SimCLR.forward, [0]

    def limited(self, views):
        seen[0] += 1
        if seen[0] > int(calls or 0) and len(views) > 2 * int(images):
            raise torch.OutOfMemoryError(MESSAGE)
        return forward(self, views)

    SimCLR.forward = limited


def full(argument: str) -> None:
    room_left, written = [int(argument)], os.write

    def limited(descriptor, content):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if name != "events.jsonl":
            return written(descriptor, content)
        fitting = bytes(content)[: room_left[0]]
        if not fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room_left[0] -= len(fitting)
        return written(descriptor, fitting)

    os.write = limited


DISTURBANCES = {"die_writing": die_writing, "room": room, "full": full}

if __name__ == "__main__":
    DISTURBANCES[sys.argv[1]](sys.argv[2])
    sys.exit(train.main(sys.argv[3:]))
