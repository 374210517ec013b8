"""What a finished run leaves: the encoder's weights, the config, a report and what was measured, each with its hash."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save

from backend.contracts.config import ExperimentConfig
from worker.pipeline.build import make_architecture
from worker.simclr.disk import whole_file
from worker.simclr.nets.encoders import Encoder
from worker.simclr.nets.model import Architecture, build_encoder
from worker.simclr.training.checkpoints import file_sha256

Summary = dict[str, float | int | str | None]


def write_artifacts(
    folder: Path, encoder: Encoder, config: ExperimentConfig, summary: Summary, measured: Mapping[str, bytes]
) -> Iterator[dict[str, Any]]:
    """Write each file and yield its name, SHA-256 and size once it is complete on disk.

    ``encoder.safetensors`` holds in its metadata, as JSON, the architecture that ``read_encoder`` builds; ``measured``
    holds the files of the evaluations by name.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    architecture = dataclasses.asdict(make_architecture(config, encoder.in_channels))
    report = {"config": config.model_dump(mode="json"), "summary": summary}
    contents = {
        "encoder.safetensors": save(tensors, metadata={"architecture": json.dumps(architecture)}),
        "config.json": config.model_dump_json(indent=2).encode(),
        "report.json": json.dumps(report, indent=2).encode(),
        **measured,
    }
    for name, content in contents.items():
        with whole_file(folder / name) as file:
            file.write(content)
        yield {"name": name, "sha256": file_sha256(folder / name), "size_bytes": len(content)}


def read_encoder(path: Path) -> Encoder:
    """The encoder in an ``encoder.safetensors``, in training mode. Runs no code from the file.

    Raises UnfitEncoderError where its net cannot be built here: timm is not installed.
    """
    with safe_open(path, "pt") as file:
        architecture = Architecture(**json.loads(file.metadata()["architecture"]))
    encoder = build_encoder(architecture)
    encoder.load_state_dict(load_file(path))
    return encoder
