"""A real backend and a real page on free ports, in a data directory of their own, with a worker played by the test."""

import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from backend.client import Client, Connection
from backend.contracts.events import Event, LogEvent, MetricsEvent, PhaseEvent, ProgressEvent, SummaryEvent
from backend.contracts.runs import AttemptEnd, EventBatch, RunCreate
from tests.claiming import claim
from tests.examples import a_beat

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Lab:
    """Addresses and the client."""

    page: str
    client: Client
    home: Path
    environment: dict[str, str]
    backend: subprocess.Popen[bytes]

    def start_backend(self) -> None:
        self.backend = _start([sys.executable, "-m", "backend.main"], self.environment, self.home / "backend.log")
        _wait_for(f"http://127.0.0.1:{self.environment['SIMCLR_LAB_API_PORT']}/healthz", self.backend)

    def stop_backend(self) -> None:
        _stop(self.backend)


@contextmanager
def running_lab(home: Path) -> Generator[Lab]:
    """Start both, wait until they answer, and end them afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    api_port, ui_port = _free_port(), _free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SIMCLR_LAB_", "STREAMLIT_"))
    } | {
        "SIMCLR_LAB_HOME": str(home),
        "SIMCLR_LAB_API_PORT": str(api_port),
        "SIMCLR_LAB_LEASE_SECONDS": "600",  # the test's worker is slow
        "PYTHONUNBUFFERED": "1",
    }
    backend = _start([sys.executable, "-m", "backend.main"], environment, home / "backend.log")
    streamlit = [sys.executable, "-m", "streamlit", "run", "frontend/app.py", "--server.port", str(ui_port)]
    page = _start(streamlit, environment, home / "page.log")
    lab = None
    try:
        _wait_for(f"http://127.0.0.1:{api_port}/healthz", backend)
        _wait_for(f"http://127.0.0.1:{ui_port}/_stcore/health", page)
        client = Client.connect(Connection(home=home, api_port=api_port, api_url="", token=""))
        lab = Lab(f"http://127.0.0.1:{ui_port}", client, home, environment, backend)
        yield lab
        client.close()
    finally:
        _stop(page)
        _stop(lab.backend if lab else backend)


def be_alive(client: Client) -> None:
    """Register a worker."""
    client.beat(a_beat("lab-1"))


@contextmanager
def beating(client: Client, worker_id: str) -> Generator[None]:
    """A worker that is heard of every second, as a busy machine may need longer for a page than a worker may be silent."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.is_set():
            client.beat(a_beat(worker_id, slots_per_gpu=64))
            ended.wait(1)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def launch(client: Client, name: str, config: Mapping[str, object]) -> str:
    """Queue a run with these fields; its id."""
    return client.launch_run(RunCreate.model_validate({"name": name, "config": config})).id


def train(
    client: Client,
    run_id: str,
    *,
    linear: float,
    knn: float,
    share: float = 1.0,
    untrained: float = 0.28,
    measured: Mapping[str, float] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Play the worker: claim the run and report plausible curves, to the end or up to a share of it.

    ``measured`` joins the summary, and ``files`` are the artifacts of a run that ends.
    """
    claimed = claim(client, run_id, "lab-1")
    epochs, steps = claimed.config.training.epochs, 8
    reported: list[Event] = [_phase(claimed.attempt, 1, "pretraining")]
    done = math.ceil(epochs * steps * share)
    for step in range(1, done + 1):
        at = step / (epochs * steps)
        values = {
            "loss": 5.5 - 1.6 * linear * (1 - math.exp(-4 * at)) - 0.02 * math.sin(step * 2.4),
            "contrastive_accuracy": linear * (1 - math.exp(-5 * at)) + 0.01 * math.sin(step * 1.7),
            "learning_rate": 0.3 * 0.5 * (1 + math.cos(math.pi * at)),
            "images_per_second": 900 + 20 * math.sin(step),
        }
        if step % (steps * 2) == 0:
            values["knn_top1"] = 0.2 + (knn - 0.2) * (1 - math.exp(-3 * at)) / (1 - math.exp(-3))
        reported.append(_metrics(claimed.attempt, len(reported) + 1, step, step / steps, values))
    reported += _ending(claimed.attempt, len(reported), done, epochs * steps, share)
    if share >= 1:
        summary = {
            "linear_top1": linear,
            "knn_top1": knn,
            "untrained_linear_top1": untrained,
            "untrained_knn_top1": untrained - 0.05,
            "loss": 3.9,
            "images_per_second": 903.0,
            "encoder_sha256_after_evaluation": "0" * 64,
        }
        reported.append(
            SummaryEvent(
                attempt=claimed.attempt,
                seq=len(reported) + 1,
                time=time.time(),
                values={**summary, **(measured or {})},
            )
        )
    client.post_events(run_id, EventBatch(attempt=claimed.attempt, events=reported))
    if share >= 1:
        for name, content in (files or {}).items():
            client.upload_artifact(run_id, claimed.attempt, name, content)
        client.end_attempt(run_id, AttemptEnd(attempt=claimed.attempt, outcome="succeeded"))


def _phase(attempt: int, seq: int, phase: str) -> Event:
    return PhaseEvent.model_validate({"attempt": attempt, "seq": seq, "time": time.time(), "phase": phase})


def _metrics(attempt: int, seq: int, step: int, epoch: float, values: dict[str, float]) -> Event:
    return MetricsEvent(attempt=attempt, seq=seq, time=time.time(), step=step, epoch=epoch, values=values)


def _ending(attempt: int, seq: int, step: int, total: int, share: float) -> Sequence[Event]:
    return [
        LogEvent(attempt=attempt, seq=seq + 1, time=time.time(), message=f"step {step} of {total}"),
        ProgressEvent(
            attempt=attempt,
            seq=seq + 2,
            time=time.time(),
            step=step,
            total_steps=total,
            progress=share,
            eta_seconds=60 * (1 - share),
        ),
    ]


def _start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}: see its log")
        try:
            if httpx.get(url, trust_env=False, timeout=2).is_success:
                return
        except httpx.TransportError:
            pass  # not yet
        time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer after {seconds} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
