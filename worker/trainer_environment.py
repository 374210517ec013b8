"""The environment of a training process: the worker's, without secrets, with its GPUs and its share of the cores."""

import re
from collections.abc import Mapping

from backend.contracts.runs import Claim
from worker.simclr.cores import available_cores

_KEPT = "SIMCLR_LAB_HOME"  # no secret, and it tells whose process this is
_SECRET = re.compile(
    r"^(SIMCLR_LAB_|CELERY_|AWS_)|(PASSWORD|PASSWD|SECRET|TOKEN|_KEY|DATABASE_URL|REDIS_URL|BROKER_URL)$"
)


def trainer_environment(inherited: Mapping[str, str], claim: Claim, slots_per_gpu: int) -> dict[str, str]:
    """What the training process of a claim gets of its worker's environment.

    What it prints is kept and shown, so it gets no token, no password and no address that holds one.
    """
    environment = {name: value for name, value in inherited.items() if name == _KEPT or not _SECRET.search(name)}
    environment["PYTHONUNBUFFERED"] = "1"  # what it prints is followed live
    if claim.gpus:
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as NVML numbers them; CUDA by itself puts the fastest first
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, claim.gpus))
    elif slots_per_gpu > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // slots_per_gpu)))
    return environment
