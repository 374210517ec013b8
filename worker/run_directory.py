"""A run directory belongs to one pretraining."""

from pathlib import Path

from backend.contracts.config import ExperimentConfig


def claim_run_directory(run_dir: Path, config: ExperimentConfig) -> None:
    """Make the directory and keep the config in it. Raises ValueError where it holds a run of another config.

    What is to be evaluated, and on which resources, may change: a finished run can be evaluated further.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    kept = run_dir / "config.json"
    if kept.exists():
        was = ExperimentConfig.model_validate_json(kept.read_bytes())
        if was.model_copy(update={"evaluation": config.evaluation, "resources": config.resources}) != config:
            raise ValueError(f"{run_dir} holds a run of another config: choose another run directory.")
        if was == config:
            return
    temporary = run_dir / ".config.json.tmp"
    temporary.write_text(config.model_dump_json(indent=2))
    temporary.replace(kept)
