"""What the machine has: with a driver that answers, one that answers in part, and none."""

import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest
import torch

from backend.contracts.workers import Gpu, WorkerBeat
from worker import beat
from worker.hardware import find_gpus, measure_load
from worker.load_meter import gpu_values
from worker.settings import Settings

GIB = 1 << 30


class FakeDriver:
    """Two GPUs; ``broken`` holds (query, index) pairs that the driver does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: set[tuple[str, int]] = set()
        self.is_open = False
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        answers = {
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetName": lambda _: "NVIDIA H100",
            "nvmlDeviceGetUUID": "GPU-{}".format,
            "nvmlDeviceGetMemoryInfo": lambda index: SimpleNamespace(total=80 * GIB, used=(index + 1) * GIB),
            "nvmlDeviceGetUtilizationRates": lambda index: SimpleNamespace(gpu=50 + index, memory=3),
            "nvmlDeviceGetTemperature": lambda index, _sensor: 60 + index,
            "nvmlDeviceGetPowerUsage": lambda index: 300_500 + index,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, self._query(name, answer))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: self._set_open(is_open=True))
        monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: self._set_open(is_open=False))

    def _set_open(self, *, is_open: bool) -> None:
        self.is_open = is_open

    def _query(self, name, answer):
        def ask(index, *rest):
            assert self.is_open
            if (name, index) in self.broken:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answer(index, *rest)

        return ask


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    return FakeDriver(monkeypatch)


SECOND = Gpu(
    index=1,
    name="NVIDIA H100",
    uuid="GPU-1",
    memory_bytes=80 * GIB,
    memory_used_bytes=2 * GIB,
    utilisation_percent=51,
    celsius=61,
    watts=300.501,
)


def test_each_gpu_and_its_load(driver: FakeDriver):
    assert [gpu.index for gpu in find_gpus()] == [0, 1]
    assert find_gpus()[1] == SECOND
    assert not driver.is_open


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("nvmlDeviceGetUtilizationRates", "utilisation_percent"),
        ("nvmlDeviceGetTemperature", "celsius"),
        ("nvmlDeviceGetPowerUsage", "watts"),
        ("nvmlDeviceGetMemoryInfo", "memory_used_bytes"),
    ],
)
def test_what_one_gpu_does_not_tell_is_none_and_all_else_is_there(driver: FakeDriver, query: str, field: str):
    driver.broken = {(query, 0)}
    first, second = find_gpus()
    assert getattr(first, field) is None
    assert first.name == "NVIDIA H100"
    assert second == SECOND


def test_a_gpu_that_has_fallen_off_the_bus_is_left_out(driver: FakeDriver):
    driver.broken = {("nvmlDeviceGetHandleByIndex", 0)}
    assert find_gpus() == [SECOND]


@pytest.mark.parametrize(
    ("chosen", "indices"), [("0,1", [0, 1]), ("1", [1]), ("GPU-1", [1]), ("", []), ("-1", []), (" 1, 0", [0, 1])]
)
def test_cuda_visible_devices_says_which_are_the_workers(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, chosen: str, indices: list[int]
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert [gpu.index for gpu in find_gpus()] == indices


@pytest.mark.parametrize("query", ["nvmlInit", "nvmlDeviceGetCount"])
def test_without_a_driver_that_answers_there_are_no_gpus(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, query: str
):
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, query, fail)
    assert find_gpus() == []


@pytest.mark.usefixtures("driver")
def test_the_load_of_a_run_is_that_of_its_own_gpus():
    assert gpu_values([1]) == {
        "gpu1_percent": 51.0,
        "gpu1_memory_bytes": 2.0 * GIB,
        "gpu1_celsius": 61.0,
        "gpu1_watts": 300.501,
    }
    assert gpu_values([]) == {}


def test_what_is_not_told_is_not_in_the_load(driver: FakeDriver):
    driver.broken = {("nvmlDeviceGetPowerUsage", 0), ("nvmlDeviceGetTemperature", 0)}
    assert gpu_values([0]) == {"gpu0_percent": 50.0, "gpu0_memory_bytes": 1.0 * GIB}


def test_the_disk_is_that_of_the_data_directory_before_it_is_made(tmp_path: Path):
    load = measure_load(tmp_path / "not" / "yet")
    assert load.disk_bytes == psutil.disk_usage(str(tmp_path)).total
    assert 0 < load.disk_free_bytes <= load.disk_bytes
    assert load.memory_bytes == psutil.virtual_memory().total
    assert 0 < load.memory_used_bytes <= load.memory_bytes
    assert 0 <= load.cpu_percent <= 100


@pytest.mark.usefixtures("driver")
def test_a_beat_says_what_the_worker_has_to_offer(tmp_path: Path):
    settings = Settings(home=tmp_path, slots_per_gpu=3)
    description = beat.describe_worker(settings)
    assert description.gpus[1] == SECOND
    assert description.slots == 6


def test_every_beat_is_measured_anew(driver: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    beats: list[WorkerBeat] = []
    closing = threading.Event()

    def take(posted: WorkerBeat) -> None:
        beats.append(posted)
        driver.broken = {("nvmlDeviceGetPowerUsage", 1)}
        if len(beats) == 2:
            closing.set()

    backend = SimpleNamespace(beat=take)
    monkeypatch.setattr(beat.Client, "connect", lambda *_, **__: nullcontext(backend))
    monkeypatch.setattr(beat, "BEAT_SECONDS", 0.01)
    beat.beat_for_ever(Settings(home=tmp_path, slots_per_gpu=3), closing)
    assert [posted.gpus[1].watts for posted in beats] == [300.501, None]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_driver_agrees_with_cuda():
    gpus = find_gpus()
    assert len(gpus) == torch.cuda.device_count()
    names = {torch.cuda.get_device_name(index) for index in range(len(gpus))}
    assert {gpu.name for gpu in gpus} == names
    assert all(gpu.memory_used_bytes is not None and gpu.memory_used_bytes <= gpu.memory_bytes for gpu in gpus)
