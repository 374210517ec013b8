"""One attempt at a run, with a fake backend and, for the training process, small scripts."""

import json
from pathlib import Path

import pytest

from backend.client import BackendUnreachableError
from backend.contracts.changes import RunChanges
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import AttemptEnd, CheckpointRead, DatasetLocation
from tests.worker.bench import HANGING, OBEDIENT, Bench, is_alive, problem, wait_until
from worker import backend_link, supervisor


def test_every_event_is_shipped_once_in_order_then_the_files_then_the_end(bench: Bench):
    bench.supervise("""
    folder = os.path.join(run_dir, "artifacts")
    os.makedirs(folder)
    open(os.path.join(folder, "report.json"), "wb").write(b"{}")
    for step in range(1, 1301):
        write("metrics", step=step, epoch=1, values={"loss": 0.1 * step})
    write("artifact", name="report.json", sha256="0" * 64, size_bytes=2)
    write("end", outcome="succeeded")
    """)
    backend = bench.backend
    assert backend.seqs == list(range(1, 1303))
    assert max(len(batch.events) for batch in backend.batches) <= supervisor.BATCH
    assert backend.files == {"report.json": b"{}"}
    assert backend.end == AttemptEnd(attempt=1, outcome="succeeded")


def test_the_trainer_gets_its_config_its_data_and_the_checkpoints(bench: Bench):
    bench.backend.attempt = 3
    bench.backend.checkpoints = [
        CheckpointRead(name="ck-20-a2", step=20, sha256="a" * 64),
        CheckpointRead(name="ck-10-a1", step=10, sha256="b" * 64),
    ]
    bench.supervise("""
    open(os.path.join(run_dir, "argv"), "w").write(json.dumps(sys.argv[1:]))
    write("end", outcome="stopped")
    """)
    run_dir = bench.run_dir
    assert ExperimentConfig.model_validate_json((run_dir / "config.json").read_bytes()) == ExperimentConfig()
    assert (run_dir / "argv").read_text() == (
        f'["{run_dir}/config.json", "{run_dir}", "--supervised", "--attempt", "3", '
        f'"--data", "{bench.folder}/packs/c0ffee", "--resume", "ck-20-a2:{"a" * 64}", "ck-10-a1:{"b" * 64}"]'
    )


def test_the_trainer_gets_the_datasets_to_transfer_to_but_for_the_one_that_is_rendered(bench: Bench):
    bench.backend.transfer = [
        DatasetLocation(name="pets", pack_sha256="cafe"),
        DatasetLocation(name="shapes", pack_sha256=None),
        DatasetLocation(name="birds", pack_sha256="beef"),
    ]
    bench.supervise("""
    at = sys.argv.index("--transfer")
    open(os.path.join(run_dir, "argv"), "w").write(json.dumps(sys.argv[at:]))
    write("end", outcome="stopped")
    """)
    assert json.loads((bench.run_dir / "argv").read_text()) == [
        "--transfer",
        f"pets={bench.folder}/packs/cafe",
        "--transfer",
        f"birds={bench.folder}/packs/beef",
    ]


def test_a_later_attempt_gets_the_config_of_its_claim(bench: Bench):
    script = 'write("end", outcome="stopped")'
    bench.supervise(script)
    bench.backend.attempt = 2
    bench.backend.config = ExperimentConfig.model_validate({"evaluation": {"linear_sgd": {}}})
    bench.supervise(script)
    written = (bench.run_dir / "config.json").read_bytes()
    assert ExperimentConfig.model_validate_json(written) == bench.backend.config


def test_a_lost_lease_kills_the_trainer_and_what_it_started(bench: Bench):
    def refuse_after_the_start() -> None:
        if (bench.run_dir / "pid").exists() and (bench.run_dir / "child").exists():
            raise problem(409)

    bench.backend.fail = refuse_after_the_start
    bench.supervise("""
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open(os.path.join(run_dir, "child"), "w").write(str(child.pid))
    time.sleep(60)
    """)
    assert bench.backend.end is None
    assert not is_alive(bench.trainer_pid())
    child = int((bench.run_dir / "child").read_text())
    wait_until(lambda: not is_alive(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")


def test_with_the_backend_away_past_the_lease_training_goes_on_and_everything_is_shipped_afterwards(bench: Bench):
    failures = 0
    bench.backend.lease_seconds = 0.2

    def away_until_the_trainer_has_ended() -> None:
        nonlocal failures
        if bench.run_dir.exists() and not (bench.run_dir / "done").exists():
            failures += 1
            raise BackendUnreachableError("away")

    bench.backend.fail = away_until_the_trainer_has_ended
    bench.supervise("""
    for step in range(1, 701):
        write("metrics", step=step, epoch=1, values={"loss": 1.0})
    time.sleep(0.5)
    write("end", outcome="succeeded")
    open(os.path.join(run_dir, "done"), "w").close()
    """)
    assert failures > 0
    assert bench.backend.seqs == list(range(1, 702))
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="succeeded")


def test_a_server_error_is_tried_again(bench: Bench):
    answers = iter([problem(503), problem(500)])

    def stumble() -> None:
        if bench.run_dir.exists() and (error := next(answers, None)):
            raise error

    bench.backend.fail = stumble
    bench.supervise('write("end", outcome="succeeded")')
    assert next(answers, None) is None
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="succeeded")


def test_events_that_the_backend_will_never_take_end_the_run_with_its_words(bench: Bench):
    def refuse_events() -> None:
        if bench.backend.end is None and (bench.run_dir / "pid").exists():
            bench.backend.fail = lambda: None
            raise problem(422)

    bench.backend.fail = refuse_events
    bench.supervise(HANGING)
    assert bench.backend.end is not None
    assert bench.backend.end.outcome == "failed"
    assert "for the test" in (bench.backend.end.error or "")
    assert not is_alive(bench.trainer_pid())


def test_the_wish_to_stop_reaches_the_trainer(bench: Bench):
    bench.backend.wish = "stop"
    bench.supervise(OBEDIENT)
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="stopped")


def test_a_worker_that_shuts_down_drains_its_trainer(bench: Bench):
    with bench.supervising(OBEDIENT):
        bench.wait_for_phase()
        bench.draining.set()
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="drained")


def test_a_worker_that_shuts_down_without_the_backend_gives_up(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backend_link, "FAREWELL_SECONDS", 0.3)

    def away() -> None:
        raise BackendUnreachableError("away")

    with bench.supervising(OBEDIENT):
        bench.wait_for_phase()
        bench.backend.fail = away
        bench.draining.set()
    assert bench.backend.end is None
    assert '"drained"' in (bench.run_dir / "events.jsonl").read_text()


def test_the_lease_is_renewed_while_nothing_happens(bench: Bench):
    bench.backend.lease_seconds = 0.8
    bench.supervise('time.sleep(1.5); write("end", outcome="succeeded")')
    gaps = [after - before for before, after in zip(bench.backend.times, bench.backend.times[1:], strict=False)]
    assert len(gaps) >= 4
    assert max(gaps) < 0.8


def test_a_trainer_that_was_killed_has_crashed_with_its_signal_and_its_last_words(bench: Bench):
    bench.supervise("""
    print("the last words", flush=True)
    os.kill(os.getpid(), 9)
    """)
    end = bench.backend.end
    assert end is not None
    assert end.outcome == "crashed"
    assert "SIGKILL" in (end.error or "")
    assert "the last words" in (end.error or "")


def test_a_trainer_that_refuses_its_command_has_failed_for_good(bench: Bench):
    bench.supervise("""
    print("config.json: unknown field")
    sys.exit(2)
    """)
    end = bench.backend.end
    assert end is not None
    assert (end.outcome, end.error) == ("failed", "config.json: unknown field")


def test_what_earlier_attempts_wrote_is_not_shipped_again(bench: Bench):
    bench.run_dir.mkdir(parents=True)
    log = bench.run_dir / "events.jsonl"
    earlier = '{"kind":"phase","attempt":1,"seq":1,"time":0,"phase":"loading"}\n'
    log.write_text(earlier + earlier[:20])
    bench.backend.attempt = 2
    bench.supervise(f"""
    with open(os.path.join(run_dir, "events.jsonl"), "a") as log:
        log.write("\\n" + {earlier!r})  # a stale trainer still writes
    write("phase", phase="loading")
    write("end", outcome="succeeded")
    """)
    assert [(e.attempt, e.seq) for batch in bench.backend.batches for e in batch.events] == [(2, 1), (2, 2)]


def test_an_end_for_want_of_space_and_what_would_help_are_passed_on(bench: Bench):
    end = bench.supervise("""
    write("end", outcome="no_space", error="The disk is full.")
    """)
    assert end == AttemptEnd(attempt=1, outcome="no_space", error="The disk is full.")
    bench.supervise("""
    write("end", outcome="failed", error="Out of memory.", remedy={"micro_batch_size": 64})
    """)
    remedy = RunChanges(micro_batch_size=64)
    assert bench.backend.end == AttemptEnd(attempt=1, outcome="failed", error="Out of memory.", remedy=remedy)


def test_a_trainer_that_had_no_space_even_for_its_log_says_so_by_its_exit_code(bench: Bench):
    end = bench.supervise("sys.exit(4)")
    assert end == AttemptEnd(attempt=1, outcome="no_space", error="The disk of the worker is full.")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_too_full_to_start_the_trainer_is_reported(bench: Bench):
    bench.run_dir.mkdir(parents=True)
    (bench.run_dir / ".config-1.json").symlink_to("/dev/full")
    end = bench.supervise(HANGING)
    assert end is not None
    assert end.outcome == "no_space"
    assert "make room" in (end.error or "")


def test_a_run_directory_that_cannot_be_used_is_reported_without_its_path(bench: Bench):
    bench.run_dir.parent.mkdir()
    bench.run_dir.touch()
    end = bench.supervise(HANGING)
    assert end is not None
    assert (end.outcome, end.error) == ("crashed", "The worker cannot use the run's files: File exists.")
