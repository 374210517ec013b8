"""A whole lab as real processes: ``python -m backend.up`` in a temporary data directory, on free ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from backend.client import Client, Connection
from backend.contracts.config import ExperimentConfig
from backend.contracts.datasets import DatasetCreate
from backend.contracts.events import MetricsEvent
from backend.contracts.runs import ENDED, RunCreate, RunRead
from backend.contracts.tasks import embedded_broker_socket
from worker.event_log import read_events

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 3.0


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on at this moment."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = 90.0, log: Path | None = None) -> None:
    end = time.monotonic() + seconds
    while not condition():
        words = log.read_text() if log else ""
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{words}"
        time.sleep(0.05)


def busyness() -> float:
    """How many times slower than alone this process is, as others use the processors too (other tests do)."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class RunningLab:
    """One data directory and its ports; may be started, stopped and started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """``settings``: more variables of its environment."""
        self.home = folder / "lab"
        self._settings = settings
        self.log = folder / "up.log"
        self.api_port, self.ui_port = free_ports(2)
        self.up: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIMCLR_LAB_")}
        return {
            **inherited,
            "SIMCLR_LAB_HOME": str(self.home),
            "SIMCLR_LAB_API_PORT": str(self.api_port),
            "SIMCLR_LAB_UI_PORT": str(self.ui_port),
            "SIMCLR_LAB_LEASE_SECONDS": str(LEASE_SECONDS),
            "SIMCLR_LAB_MAX_ATTEMPTS": "10",
            "OMP_NUM_THREADS": "1",
            **self._settings,
        }

    def start(self) -> float:
        """Start and wait until it says that it is ready. Returns the seconds that it took."""
        started = time.monotonic()
        with self.log.open("wb") as log:
            self.up = subprocess.Popen(
                [sys.executable, "-m", "backend.up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self._is_ready, "the lab is ready", log=self.log)
        return time.monotonic() - started

    @property
    def _is_ready(self) -> bool:
        assert self.up is not None
        assert self.up.poll() is None, f"the lab ended:\n{self.log.read_text()}"
        return "SimCLR Lab is ready" in self.log.read_text()

    def stop(self, number: int = signal.SIGINT) -> float:
        """Stop it as Ctrl-C does. Returns the seconds that it took."""
        started = time.monotonic()
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.up is not None:
            self.up.send_signal(number)
            self.up.wait(timeout=60)
            self.up = None
        return time.monotonic() - started

    @property
    def up_pid(self) -> int:
        assert self.up is not None
        return self.up.pid

    def kill(self) -> None:
        """Kill -9 what keeps the processes together."""
        assert self.up is not None
        self.up.kill()
        self.up.wait()
        self.up = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client.connect(Connection(home=self.home, api_port=self.api_port, api_url="", token=""))
        return self._client

    def processes(self) -> list[psutil.Process]:
        """Every process of this lab, found by its environment, so that one without a parent is found too.

        Valkey writes its title over its environment; the title holds its socket.
        """
        broker = str(embedded_broker_socket(self.home))
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get("SIMCLR_LAB_HOME") == str(self.home) or broker in " ".join(
                    process.cmdline()
                )
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # it ended meanwhile, or is not ours
        return found

    def process(self, *words: str, of: psutil.Process | None = None) -> psutil.Process:
        """The process whose command holds these words, and whose parent is ``of`` or has another command."""
        candidates = [
            p for p in self.processes() if set(words) <= set(_command(p)) and "backend.respawn" not in _command(p)
        ]
        if of is not None:
            candidates = [p for p in candidates if p.ppid() == of.pid]
        else:
            pids = {p.pid for p in candidates}
            candidates = [p for p in candidates if p.ppid() not in pids]
        assert len(candidates) == 1, f"{words}: {candidates}\n{self.log.read_text()}"
        return candidates[0]

    def trainer(self) -> psutil.Process:
        return self.process("worker.train")

    def worker(self) -> psutil.Process:
        return self.process("-Q", "runs")

    def pool_process(self) -> psutil.Process:
        return self.process("-Q", "runs", of=self.worker())

    def broker(self) -> psutil.Process:
        servers = [process for process in self.processes() if process.name().startswith("valkey")]
        assert len(servers) == 1, servers
        return servers[0]

    def launch(self, config: ExperimentConfig) -> str:
        return self.client.launch_run(RunCreate(config=config)).id

    def wait_for_step(self, run_id: str, step: int) -> None:
        """Wait until the training process has logged a metric of this step or a later one, shipped or not."""
        log = self.home / "runs" / run_id / "events.jsonl"

        def is_there() -> bool:
            run = self.client.run(run_id)
            assert run.state not in ENDED, f"the run ended before: {run.state}, {run.error}"
            reported = [event.step for event in read_events(log) if isinstance(event, MetricsEvent)]
            return any(reported_step >= step for reported_step in reported)

        wait_until(is_there, f"step {step} of {run_id}")

    def wait_for_state(self, run_id: str, *states: str) -> RunRead:
        wait_until(lambda: self.client.run(run_id).state in states, f"{run_id} is {' or '.join(states)}")
        return self.client.run(run_id)

    def wait_for_end(self, run_id: str) -> RunRead:
        return self.wait_for_state(run_id, *ENDED)

    def metrics(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """(step, value) pairs of every metric, as the backend holds them; of measured speeds only the steps."""
        return {
            series.name: [
                (step, 0.0 if series.name == "images_per_second" else value)
                for step, value in zip(series.steps, series.values, strict=True)
            ]
            for series in self.client.metrics(run_id, max_points=10_000)
        }


@contextmanager
def more_workers(lab: RunningLab, count: int) -> Iterator[None]:
    """Workers beside the lab's own, each started again when it dies; their logs are beside the lab's."""
    with ExitStack() as stack:
        for number in range(count):
            log = stack.enter_context(lab.log.with_name(f"worker-{number}.log").open("wb"))
            worker = subprocess.Popen(
                [sys.executable, "-m", "backend.respawn", sys.executable, "-m", "worker.start"],
                cwd=ROOT,
                env=lab.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
        yield


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def write_images(folder: Path) -> Path:
    """A folder of 60 training and 12 test images of two classes, 8 x 8 pixels."""
    random = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 6)):
        for label, channel in (("blue", 2), ("red", 0)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 160, (8, 8, 3))
                pixels[..., channel] += 60
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return folder


def tiny_config(*, epochs: int) -> ExperimentConfig:
    """Four steps an epoch, about 20 ms a step."""
    return ExperimentConfig.model_validate(
        {
            "dataset": {"name": "tiny", "image_size": 8},
            "encoder": {"width": 0.0625, "stem": "stride2"},
            "head": {"output_dim": 16},
            "training": {"epochs": epochs, "batch_size": 15, "precision": "fp32", "checkpoint_every_epochs": 5},
            "evaluation": {"knn_every_epochs": 10, "knn_neighbors": 5},
        }
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images") / "tiny")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[RunningLab]:
    """A lab that runs, with the dataset ``tiny``."""
    lab = RunningLab(tmp_path_factory.mktemp("lab"))
    try:
        lab.start()
        import_tiny(lab, images)
        yield lab
    finally:
        lab.stop()


def import_tiny(lab: RunningLab, images: Path) -> None:
    lab.client.import_dataset(DatasetCreate(name="tiny", source="folder", path=str(images), image_size=8))
    wait_until(lambda: lab.client.dataset("tiny").state != "importing", "the import ends")
    dataset = lab.client.dataset("tiny")
    assert dataset.state == "ready", dataset.error
