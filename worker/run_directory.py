"""A run directory belongs to one pretraining."""

from pathlib import Path

from backend.contracts.config import ExperimentConfig
from worker.pipeline.continuation import lasting_part
from worker.simclr.disk import whole_file


def claim_run_directory(run_dir: Path, config: ExperimentConfig) -> None:
    """Make the directory and keep the config in it. Raises ValueError where it holds a run of another config.

    ``lasting_part`` says what may change; of the epochs there may be more.
    """
    kept = run_dir / "config.json"
    if kept.exists():
        was = ExperimentConfig.model_validate_json(kept.read_bytes())
        if lasting_part(was) != lasting_part(config):
            raise ValueError(f"{run_dir} holds a run of another config: choose another run directory.")
        if config.training.epochs < was.training.epochs:
            raise ValueError(
                f"training.epochs is {config.training.epochs}, but the run in {run_dir} has {was.training.epochs}: "
                "it can be given more, not fewer."
            )
        if was == config:
            return
    with whole_file(kept) as file:
        file.write(config.model_dump_json(indent=2).encode())
