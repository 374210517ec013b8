"""What the training process does: one attempt at a run, from the images to the last event."""

import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Never

from tqdm import tqdm

from backend.contracts.config import ExperimentConfig
from worker.event_log import EventLog, SilentLog
from worker.pipeline.errors import ShortageError
from worker.progress import Progress
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
