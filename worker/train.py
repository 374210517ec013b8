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
from pathlib import Path

from pydantic import ValidationError

from backend.contracts.config import ExperimentConfig
from backend.contracts.events import CheckpointEvent
from worker.event_log import EventLog, SilentLog, read_events
from worker.run_directory import claim_run_directory
from worker.simclr.disk import is_disk_full
from worker.training_process import NO_SPACE, TrainingProcess
from worker.wishes import Wishes


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


if __name__ == "__main__":
    sys.exit(main())
