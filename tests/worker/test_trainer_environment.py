"""A training process gets the GPUs of its claim, or its share of the cores."""

import pytest

from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import Claim, DatasetLocation
from worker import trainer_environment as subject
from worker.trainer_environment import trainer_environment


def claim(*gpus: int) -> Claim:
    return Claim(
        run_id="r1",
        attempt=1,
        gpus=list(gpus),
        config=ExperimentConfig(),
        dataset=DatasetLocation(name="shapes", pack_sha256=None),
        checkpoints=[],
        lease_seconds=30,
    )


def test_it_sees_the_gpus_of_its_claim_numbered_as_the_driver_numbers_them():
    environment = trainer_environment({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "PATH": "/bin"}, claim(2, 3), 1)
    assert environment["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["PATH"] == "/bin"
    assert "OMP_NUM_THREADS" not in environment


def test_on_the_processor_the_devices_are_left_alone():
    assert trainer_environment({"CUDA_VISIBLE_DEVICES": ""}, claim(), 1)["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in trainer_environment({}, claim(), 1)


@pytest.mark.parametrize(
    ("inherited", "slots", "threads"),
    [({}, 1, None), ({}, 3, "2"), ({}, 16, "1"), ({"OMP_NUM_THREADS": "5"}, 3, "5")],
)
def test_several_runs_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, inherited: dict[str, str], slots: int, threads: str | None
):
    monkeypatch.setattr(subject, "available_cores", lambda: 8)
    assert trainer_environment(inherited, claim(), slots).get("OMP_NUM_THREADS") == threads
