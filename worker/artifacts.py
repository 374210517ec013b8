"""What a finished run leaves: the encoder's weights, the config and a report, each with its hash."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from backend.contracts.config import ExperimentConfig
from worker.simclr.training.checkpoints import file_sha256

Summary = dict[str, float | int | str | None]


def write_artifacts(
    folder: Path, encoder: nn.Module, config: ExperimentConfig, summary: Summary
) -> Iterator[dict[str, Any]]:
    """Write each file and yield its name, SHA-256 and size once it is complete on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    report = {"config": config.model_dump(mode="json"), "summary": summary}
    contents = {
        "encoder.safetensors": save(tensors, metadata={"encoder": config.encoder.model_dump_json()}),
        "config.json": config.model_dump_json(indent=2).encode(),
        "report.json": json.dumps(report, indent=2).encode(),
    }
    for name, content in contents.items():
        path = folder / name
        temporary = folder / f".{name}.tmp"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        yield {"name": name, "sha256": file_sha256(path), "size_bytes": len(content)}
