"""The encoder that a run leaves is the encoder that was evaluated, in a file that runs no code."""

import json

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from backend.contracts.config import EncoderConfig, ExperimentConfig
from worker.artifacts import write_artifacts
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.nets.encoders import ResNet


def test_the_encoder_comes_back_from_its_file_with_what_is_needed_to_build_it(tmp_path):
    config = ExperimentConfig(encoder=EncoderConfig(width=0.0625, stem="stride2"))
    encoder = ResNet("resnet18", 0.0625, "stride2").to(memory_format=torch.channels_last)
    written = list(write_artifacts(tmp_path, encoder, config, {"knn_top1": 0.5}))
    assert {path.name for path in tmp_path.iterdir()} == {artifact["name"] for artifact in written}

    with safe_open(tmp_path / "encoder.safetensors", "pt") as file:
        built = EncoderConfig.model_validate_json(file.metadata()["encoder"])
    again = ResNet(built.arch, built.width, built.stem)
    again.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    assert state_sha256(again) == state_sha256(encoder)

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["summary"] == {"knn_top1": 0.5}
    assert ExperimentConfig.model_validate(report["config"]) == config
