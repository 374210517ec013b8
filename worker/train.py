"""The training process: ``python -m worker.train CONFIG.json RUN_DIR``. No web, queue or database.

On several GPUs ``torchrun --nproc-per-node N -m worker.train ...`` starts a team of N; rank 0 alone writes.

It knows its run directory only: it appends events to ``events.jsonl``, writes ``checkpoints/`` and, at the end,
``artifacts/``. Under ``--supervised`` a worker tells it what to do on standard input; otherwise a person watches a
progress bar, and Ctrl-C makes a checkpoint from which the same command goes on.
"""

import argparse
import os
import re
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Never

from pydantic import ValidationError
from tqdm import tqdm

from backend.contracts.config import ExperimentConfig
from backend.contracts.events import CheckpointEvent
from worker.event_log import EventLog, SilentLog, read_events
from worker.pipeline.errors import ShortageError
from worker.progress import Progress
from worker.run_directory import claim_run_directory
from worker.simclr.disk import is_disk_full
from worker.wishes import WISHES, DismissedError, Wishes

if TYPE_CHECKING:
    from worker.pipeline.experiment import Experiment

PROGRESS_SECONDS = 0.5
"""Progress is reported no more often than this (metrics are reported by step, see ``is_reported``)."""


NO_SPACE = 4
"""Exit code where the disk is full: the same command goes on when there is room."""


class StoppedError(Exception):
    """Someone wished the run to end before its time; everything is saved."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m worker.train", description="Pretrain and evaluate one encoder.")
    parser.add_argument("config", type=Path, help="the experiment config, a JSON file")
    parser.add_argument("run_dir", type=Path, help="folder of the run, made if need be; a run in it is resumed")
    parser.add_argument(
        "--data",
        type=Path,
        help="a pack, or a zip or folder of images; not needed for 'shapes' and for known datasets, which are downloaded",
    )
    parser.add_argument(
        "--transfer",
        action="append",
        default=[],
        type=other_dataset,
        metavar="NAME=PATH",
        help="images of a dataset in evaluation.transfer, as for --data; once for each",
    )
    parser.add_argument("--attempt", type=int, help="number of this attempt; default: one more than the last")
    parser.add_argument(
        "--resume", nargs="*", default=None, type=_candidate, metavar="NAME:SHA256", help="checkpoints, newest first"
    )
    parser.add_argument("--supervised", action="store_true", help="a worker listens: no bar, wishes on standard input")
    return parser.parse_args(argv)


def other_dataset(text: str) -> tuple[str, Path]:
    """NAME=PATH of a dataset to transfer to."""
    name, found, path = text.partition("=")
    if not found or not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH of a dataset")
    return name, Path(path)


def _candidate(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(ck-\d+-a\d+):([0-9a-f]{64})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:SHA256 of a checkpoint")
    return match[1], match[2]


def main(argv: list[str] | None = None) -> int:
    """Train, and return the exit code.

    0 after succeeded, stopped or drained, 1 after failed, 2 for a bad command, 4 where the disk is full.
    """
    args = arguments(argv)
    wishes = Wishes()
    is_chief = int(os.environ.get("RANK", "0")) == 0
    if args.supervised:
        wishes.listen_to_supervisor(to_wishes=is_chief)
    else:
        wishes.listen_to_signals()
    try:
        config = ExperimentConfig.model_validate_json(args.config.read_bytes())
        if is_chief:
            claim_run_directory(args.run_dir, config)
        log_file = args.run_dir / "events.jsonl"
        earlier = read_events(log_file)
        attempt: int = args.attempt or 1 + max((event.attempt for event in earlier), default=0)
        log = EventLog(log_file, attempt) if is_chief else SilentLog(attempt)
    except (OSError, ValueError) as error:
        is_full = is_disk_full(error)
        if not (is_full and args.supervised):
            print(f"{args.config}: {refusal(error)}", file=sys.stderr)  # noqa: T201 (there is no log before there is a run)
        return NO_SPACE if is_full else 2

    candidates: list[tuple[str, str]] | None = args.resume
    if candidates is None:
        candidates = [] if args.supervised else registered_checkpoints(log_file)
    process = TrainingProcess(config, args.run_dir, log, wishes, show_bar=is_chief and not args.supervised)
    process.transfer = dict(args.transfer)
    try:
        return process.run(args.data, candidates)
    finally:
        log.close()


def refusal(error: OSError | ValueError) -> str:
    """Why the command was refused, field by field where the config is at fault."""
    if isinstance(error, ValidationError):
        found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        return "; ".join(f"{field}: {message}" if field else message for field, message in found)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def registered_checkpoints(log_file: Path) -> list[tuple[str, str]]:
    """(name, sha256) of every checkpoint in the log, newest first."""
    found = [event for event in read_events(log_file) if isinstance(event, CheckpointEvent)]
    return [(event.name, event.sha256) for event in reversed(found)]


class TrainingProcess:
    """One attempt at a run: experiment in, events, checkpoints and artifacts out."""

    def __init__(
        self, config: ExperimentConfig, run_dir: Path, log: EventLog | SilentLog, wishes: Wishes, *, show_bar: bool
    ) -> None:
        self.config, self.run_dir, self.log, self.wishes = config, run_dir, log, wishes
        self.transfer: dict[str, Path] = {}
        self.bar: tqdm[Never] | None = None
        self._show_bar = show_bar
        self._last_progress = 0.0
        self._saved_step = -1
        self._good: list[str] = []  # checkpoints that may be resumed from, newest first

    def run(self, data: Path | None, candidates: list[tuple[str, str]]) -> int:
        """Load, train, evaluate; writes an end event wherever the disk has room for it. Returns the exit code."""
        try:
            return self._attempt(data, candidates)
        except Exception as error:
            if not is_disk_full(error):
                raise
            return self._give_way()
        finally:
            if self.bar is not None:
                self.bar.close()

    def _attempt(self, data: Path | None, candidates: list[tuple[str, str]]) -> int:
        try:
            experiment = self._load(data, candidates)
            self._pretrain(experiment)
            if experiment.goes_on_alone():
                self._evaluate(experiment)
        except StoppedError:
            outcome = "drained" if self.wishes.current == "drain" else "stopped"
            self.log.write("end", outcome=outcome)
            return 0
        except DismissedError:
            return 0
        except Exception as error:  # the last place that can tell a person what happened
            if is_disk_full(error):
                raise
            self.log.write("log", level="error", message=traceback.format_exc()[-20_000:])
            remedy = error.remedy if isinstance(error, ShortageError) else None
            self.log.write("end", outcome="failed", error=explanation(error)[:20_000], remedy=remedy)
            if self._show_bar:
                print(explanation(error), file=sys.stderr)  # noqa: T201
            return 1
        self.log.write("end", outcome="succeeded")
        return 0

    def _give_way(self) -> int:
        """The disk is full: say so in the log if it takes another line. Returns the exit code.

        Nothing is printed for a supervisor: that goes to the same disk, and what stays unwritten changes the exit code.
        """
        message = f"The disk is full. Make room, and the run goes on. {self._newest_good()}"
        with suppress(OSError):
            self.log.write("end", outcome="no_space", error=message)
        if self._show_bar:
            print(message, file=sys.stderr)  # noqa: T201
        return NO_SPACE

    def _newest_good(self) -> str:
        """Which checkpoint there is to go on from, in words."""
        return f"The newest good checkpoint is {self._good[0]}." if self._good else "There is no checkpoint yet."

    def _load(self, data: Path | None, candidates: list[tuple[str, str]]) -> "Experiment":
        """The experiment, restored from the first good candidate."""
        self.log.write("phase", phase="loading")
        # Late, because torch takes seconds to load: by now the run is seen to live, and can be told to stop.
        from worker.datasets import load_dataset, load_transfer
        from worker.environment import environment
        from worker.pipeline.evaluations import evaluation_cost
        from worker.pipeline.experiment import Experiment, WrongCheckpointError
        from worker.simclr.precision import best_device, prepare_device, set_threads
        from worker.simclr.training.checkpoints import load_checkpoint, remove_unfinished
        from worker.simclr.training.memory import keep_freed_memory
        from worker.simclr.training.team import Team

        keep_freed_memory()
        threads, device = set_threads(), best_device()
        prepare_device(device, deterministic=self.config.training.deterministic)
        team, packs = Team.from_environment(device), self.run_dir.parent / "packs"
        if team.is_chief:
            self.log.write("environment", **environment())
            remove_unfinished(self.run_dir / "checkpoints", attempt=self.log.attempt)
        with team.chief_first():
            dataset, identity = load_dataset(self.config.dataset, data, packs=packs)
            others = load_transfer(self.config, self.transfer, packs=packs)
        experiment = Experiment(self.config, dataset, device, identity=identity, team=team, transfer=others)
        for index, (name, sha256) in enumerate(candidates):
            state = load_checkpoint(self.run_dir / "checkpoints", name, sha256)
            try:
                if state is not None:
                    experiment.load_state_dict(state)
                    self._saved_step = experiment.step
                    self._good = [candidate for candidate, _ in candidates[index:]]
                    self._say(f"Resumed from checkpoint {name}.")
                    break
            except WrongCheckpointError as error:
                self._say(f"{name}: {error}", level="warning")
            else:
                self._say(f"Checkpoint {name} is missing or damaged.", level="warning")
        self._say(
            f"{len(experiment.dataset.train.labels)} training and {len(dataset.test.labels)} test images, "
            f"{experiment.total_steps} steps on {_place(team.size, experiment.device, threads)}, "
            f"{experiment.recipe.precision}."
        )
        self._progress = Progress(
            total_steps=experiment.total_steps,
            batch_size=self.config.training.batch_size,
            evaluation_cost=evaluation_cost(experiment),
        )
        self._heed(experiment)
        return experiment

    def _pretrain(self, experiment: "Experiment") -> None:
        """Train to the end. Raises DivergedError and ShortageError with what is left and what to do."""
        from worker.pipeline.shortage import shortage
        from worker.simclr.training.memory import is_out_of_memory
        from worker.simclr.training.pretraining import DivergedError

        try:
            self._train(experiment)
        except DivergedError as error:
            raise DivergedError(f"{error} {self._newest_good()}") from error
        except (RuntimeError, MemoryError) as error:
            if experiment.is_measuring or not is_out_of_memory(error):
                raise
            raise shortage(experiment, error) from error

    def _train(self, experiment: "Experiment") -> None:
        if experiment.fit_micro_batch():
            self._say(
                f"{experiment.micro_batch_size} images at once: the most of {experiment.share} that fit into memory."
            )
        self.log.write("phase", phase="pretraining")
        if self._show_bar:
            self.bar = tqdm(total=experiment.total_steps, initial=experiment.step, unit="step")
        for report in experiment.pretrain():
            for measured in report.metrics:
                self.log.write("metrics", step=measured.step, epoch=measured.epoch, values=measured.values)
            if self.bar is not None:
                self.bar.update(report.step - self.bar.n)
                if report.losses:
                    self.bar.set_postfix(loss=f"{report.losses[-1]:.3f}", refresh=False)
            if experiment.is_checkpoint_due:
                self._save(experiment)
            self._report_progress(experiment, evaluated=0.0)
            self._heed(experiment)

    def _evaluate(self, experiment: "Experiment") -> None:
        from worker.evaluating import evaluate_run

        self.log.write("phase", phase="evaluating")
        for share in evaluate_run(experiment, self.run_dir, self.log):
            if self.bar is not None:
                self.bar.set_description_str(f"evaluating {share:.0%}")
            self._report_progress(experiment, evaluated=share)
            self._heed(experiment)

    def _report_progress(self, experiment: "Experiment", *, evaluated: float) -> None:
        now = time.monotonic()
        if now - self._last_progress < PROGRESS_SECONDS and evaluated < 1:
            return
        self._last_progress = now
        self.log.write(
            "progress",
            step=experiment.step,
            total_steps=experiment.total_steps,
            progress=self._progress.fraction(experiment.step, evaluated),
            eta_seconds=self._progress.eta_seconds(experiment.step, evaluated, now),
        )

    def _heed(self, experiment: "Experiment") -> None:
        """Raise StoppedError, with everything saved, where the wish is to stop or to drain: on every rank alike."""
        wish = WISHES.index(self.wishes.current)
        if not experiment.is_measuring:
            wish = experiment.team.agree(wish)
        if WISHES[wish] != "go_on":
            self._save(experiment)
            experiment.dismiss()
            raise StoppedError

    def _save(self, experiment: "Experiment") -> None:
        """Save a checkpoint unless this step has one, and only then announce it."""
        from worker.simclr.training.checkpoints import prune_checkpoints, save_checkpoint

        if experiment.step == self._saved_step or not experiment.team.is_chief:
            return
        experiment.learner.check_finite()
        folder = self.run_dir / "checkpoints"
        saved = save_checkpoint(folder, experiment.state_dict(), step=experiment.step, attempt=self.log.attempt)
        self._saved_step = saved.step
        self.log.write("checkpoint", name=saved.name, step=saved.step, sha256=saved.sha256, size_bytes=saved.size_bytes)
        self._good.insert(0, saved.name)
        prune_checkpoints(folder, self._good, attempt=self.log.attempt)

    def _say(self, message: str, level: str = "info") -> None:
        self.log.write("log", level=level, message=message)
        if self._show_bar:
            tqdm.write(message)


def _place(processes: int, device: object, threads: int) -> str:
    """Where it is trained, in words."""
    return f"{f'{processes} processes, each on ' if processes > 1 else ''}{device} with {threads} threads"


def explanation(error: Exception) -> str:
    """What to show a person: the message alone where it was written for one, else with the type of the error."""
    from worker.simclr.training.memory import is_out_of_memory

    if isinstance(error, (ValueError, ArithmeticError, OSError, ShortageError)) and str(error):
        return str(error)
    if is_out_of_memory(error):
        return (
            "Out of memory outside of training: free the GPU and resume, or lower encoder.width, dataset.image_size or "
            "the batch sizes in evaluation."
        )
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
