"""The pieces of a run's page: where it stands, what helps, its log, load, history, and how to repeat it."""

from datetime import timedelta

import pandas as pd
import pytest

from backend.contracts.changes import RunChanges
from backend.contracts.runs import LogLine, RunEnvironment, SystemSample, Transition
from backend.contracts.workers import WorkerRead
from frontend.charts.history import stays, timeline
from frontend.charts.load import LOADS, load_chart, load_points
from frontend.components.reproduction import commands, facts
from frontend.components.resume import remedy_label
from frontend.components.run_load import newest, without_gpu
from frontend.components.run_log import log_text
from frontend.components.run_state import machine, progress_text
from tests.examples import GIB, NOW, a_beat, a_run

TRAINING = {"training": {"epochs": 30, "seed": 7}}


def at(seconds: float) -> object:
    return NOW + timedelta(seconds=seconds)


def test_progress_is_said_in_epochs_percent_and_time_left():
    run = a_run(state="running", epoch=12.43, progress=0.41, eta_seconds=200, config=TRAINING)
    assert progress_text(run) == "epoch 12.4 of 30, 41%, 3 min 20 s left"
    assert progress_text(run.model_copy(update={"state": "stopped"})) == "epoch 12.4 of 30, 41%"
    assert progress_text(run.model_copy(update={"epoch": None, "eta_seconds": None})) == "41%"


def test_a_run_says_which_worker_and_gpus_it_is_on():
    beat = a_beat("lab-1", gpus=2, gpu="NVIDIA H100")
    lab = WorkerRead(**beat.model_dump(), alive=True, draining=False, last_seen=NOW, run_ids=[])
    run = a_run(state="running", worker_id="lab-1", gpus=[1, 2], priority=5)
    assert machine(run, [lab]) == "On worker lab-1 · GPU 1: NVIDIA H100 · GPU 2 · priority 5"
    assert machine(a_run(worker_id="gone", gpus=[]), [lab]) == "Ran on worker gone · processor"
    assert machine(a_run(state="queued", worker_id="lab-1", gpus=[1]), [lab]) == ""
    assert machine(a_run(), [lab]) == ""


@pytest.mark.parametrize(
    ("remedy", "label"),
    [
        (RunChanges(micro_batch_size=64), "Retry with micro-batch 64"),
        (RunChanges(micro_batch_size="auto"), "Retry with the largest micro-batch that fits"),
        (RunChanges(micro_batch_size=1024, epochs=40), "Retry with micro-batch 1,024 and 40 epochs"),
        (RunChanges(), "Retry"),
    ],
)
def test_the_button_that_helps_says_what_it_changes(remedy: RunChanges, label: str):
    assert remedy_label(remedy) == label


def line(number: int, **values: object) -> LogLine:
    example = {"id": number, "time": at(number), "attempt": 1, "level": "info", "message": "step", "source": "lab"}
    return LogLine.model_validate(example | values)


def test_log_lines_stand_oldest_first_with_what_they_are():
    lines = [line(1), line(2, source="output", message="a warning of torch"), line(3, level="error", message="no")]
    assert log_text(lines) == "12:00:01 step\n12:00:02 output a warning of torch\n12:00:03 ERROR no"
    attempts = log_text([line(1), line(2, attempt=2), line(3, attempt=2)]).split("\n")
    assert [text.strip("-") for text in attempts] == [
        "attempt 1",
        "12:00:01 step",
        "attempt 2",
        "12:00:02 step",
        "12:00:03 step",
    ]


SAMPLES = [
    SystemSample.model_validate({"time": at(0), "values": {"cpu_percent": 90, "gpu0_percent": 50}}),
    SystemSample.model_validate(
        {
            "time": at(5),
            "values": {"cpu_percent": 110, "gpu0_percent": 60, "gpu12_percent": 80, "memory_bytes": 2.5e9, "else": 1},
        }
    ),
]


def test_load_is_drawn_by_quantity_and_device_and_what_was_not_measured_is_not_there():
    points = load_points(SAMPLES)
    assert points[["load", "device", "value"]].to_numpy().tolist() == [
        ["cpu_percent", "process", 90],
        ["gpu_percent", "GPU 0", 50],
        ["cpu_percent", "process", 110],
        ["gpu_percent", "GPU 0", 60],
        ["gpu_percent", "GPU 12", 80],
        ["memory_bytes", "process", 2.5],
    ]
    of_gpus = points[points["load"] == "gpu_percent"]
    assert newest(of_gpus, "gpu_percent") == "60, 80"
    spec = load_chart(of_gpus, "gpu_percent").to_dict()
    assert spec["encoding"]["color"]["scale"]["domain"] == ["GPU 0", "GPU 12"]
    assert {"cpu_percent", "memory_bytes", "gpu_celsius", "gpu_watts"} <= set(LOADS)


def test_without_a_gpu_a_sentence_says_so():
    nothing, cpu = load_points([]), load_points([SAMPLES[0].model_copy(update={"values": {"cpu_percent": 90.0}})])
    assert "nothing yet" in without_gpu(a_run(), nothing)
    assert "there is no GPU" in without_gpu(a_run(gpus=[]), cpu)
    assert "tells no load" in without_gpu(a_run(gpus=[0]), cpu)
    assert without_gpu(a_run(gpus=[0]), load_points(SAMPLES)) == ""


MOVES = [
    Transition.model_validate(
        {
            "time": at(second),
            "from_state": None,
            "to_state": state,
            "actor": actor,
            "reason": reason,
            "attempt": attempt,
        }
    )
    for second, state, actor, reason, attempt in (
        (0, "queued", "user", "launched", 0),
        (40, "running", "lab-1", "claimed", 1),
        (100, "queued", "reconcile", "lease expired", 1),
        (110, "running", "lab-1", "claimed", 2),
        (200, "failed", "lab-1", "reported", 2),
    )
]


def test_the_history_holds_how_long_a_run_was_in_each_state():
    ended = stays(MOVES, NOW + timedelta(hours=1))
    assert ended["seconds"].tolist() == [40, 60, 10, 90, 0]
    assert ended[["state", "actor", "reason", "attempt"]].iloc[2].tolist() == [
        "queued",
        "reconcile",
        "lease expired",
        1,
    ]
    assert stays(MOVES[:2], NOW + timedelta(seconds=70))["seconds"].tolist() == [40, 30]
    assert stays([], NOW).empty
    assert timeline(ended).to_dict()["encoding"]["color"]["scale"]["domain"] == ["queued", "running", "failed"]


ENVIRONMENT = RunEnvironment(
    git_commit="9cd2565+",
    packages={"torch": "2.15.0", "python": "3.11.7"},
    hardware={"processor": "EPYC", "memory_bytes": 2 * GIB},
)


def test_the_command_that_repeats_a_run_names_its_commit_images_and_gpus():
    assert commands(a_run()) == ".venv/bin/python -m worker.train config.json again"
    config = TRAINING | {"resources": {"gpus": 2}, "evaluation": {"transfer": {"datasets": ["pets"]}}}
    run = a_run(config=config, environment=ENVIRONMENT, pack_sha256="ab" * 32)
    checkout, train = commands(run).split("\n")
    assert checkout == "git checkout 9cd2565  # there were changes on top"
    assert train == (
        ".venv/bin/torchrun --nproc-per-node 2 -m worker.train config.json again "
        f"--data .simclr-lab/packs/{'ab' * 32} --transfer pets=pets.zip"
    )


def test_what_a_run_was_made_of_is_listed():
    run = a_run(config=TRAINING, environment=ENVIRONMENT, pack_sha256="ab" * 32)
    assert dict(facts(run)) == {
        "seed": "7",
        "dataset": "shapes",
        "images, sha256": "ab" * 32,
        "git commit": "9cd2565+",
        "python": "3.11.7",
        "processor": "EPYC",
        "memory": "2.1 GB",
    }
    assert pd.DataFrame(facts(a_run())).shape == (2, 2)
