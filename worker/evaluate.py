"""More evaluations of a finished run: ``python -m worker.evaluate RUN_DIR EVALUATION.json``.

EVALUATION.json holds fields of the config's section ``evaluation``, such as ``{"linear_sgd": {}}``; the others stay as
they are. What the run has measured already is not measured again.
"""

import argparse
import sys
from pathlib import Path

from backend.contracts.config import ExperimentConfig
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.events import PhaseEvent, SummaryEvent
from worker import train
from worker.event_log import read_events


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m worker.evaluate", description="Evaluate a finished run further.")
    parser.add_argument("run_dir", type=Path, help="folder of a run that has finished its pretraining")
    parser.add_argument(
        "evaluation", type=Path, help='fields of the section evaluation, a JSON file: {"linear_sgd": {}}'
    )
    parser.add_argument(
        "--data", type=Path, help="the run's images; not needed for 'shapes' and where the run found them"
    )
    parser.add_argument(
        "--transfer",
        action="append",
        default=[],
        type=train.other_dataset,
        metavar="NAME=PATH",
        help="images of a dataset in evaluation.transfer; once for each",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Evaluate, and return the exit code: that of ``worker.train``, 2 where there is nothing to evaluate."""
    args = arguments(argv)
    run_dir: Path = args.run_dir
    try:
        config = extended(run_dir, args.evaluation)
    except (OSError, ValueError) as error:
        print(f"{args.evaluation}: {train.refusal(error)}", file=sys.stderr)  # noqa: T201 (a command's answer)
        return 2
    wanted = run_dir / ".evaluate.json"
    wanted.write_text(config.model_dump_json(indent=2))
    data = args.data or imported_pack(run_dir)
    options = ["--data", str(data)] if data else []
    for name, path in args.transfer:
        options += ["--transfer", f"{name}={path}"]
    try:
        return train.main([str(wanted), str(run_dir), *options])
    finally:
        wanted.unlink()


def extended(run_dir: Path, evaluation: Path) -> ExperimentConfig:
    """The run's config with these fields of its evaluation. Raises ValueError where that is none, or no run is there."""
    events = read_events(run_dir / "events.jsonl")
    if not any(isinstance(event, PhaseEvent) and event.phase == "evaluating" for event in events):
        raise ValueError(f"{run_dir} holds no run that has finished its pretraining: train it first.")
    config = ExperimentConfig.model_validate_json((run_dir / "config.json").read_bytes())
    fields = EvaluationConfig.model_validate_json(evaluation.read_bytes())
    return ExperimentConfig.model_validate({**config.model_dump(), "evaluation": config.evaluation.extended(fields)})


def imported_pack(run_dir: Path) -> Path | None:
    """The pack that the run imported its images into, if it did so itself and it is still there."""
    for event in reversed(read_events(run_dir / "events.jsonl")):
        if isinstance(event, SummaryEvent) and event.values.get("pack_sha256"):
            pack = run_dir.parent / "packs" / str(event.values["pack_sha256"])
            return pack if pack.is_dir() else None
    return None


if __name__ == "__main__":
    sys.exit(main())
