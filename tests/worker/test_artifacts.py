"""The encoder that a run leaves is the encoder that was evaluated, in a file that runs no code."""

import json

import torch

from backend.contracts.config import DatasetConfig, EncoderConfig, ExperimentConfig
from worker.artifacts import read_encoder, write_artifacts
from worker.pipeline.build import untrained_model
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.nets.encoders import ResNet


def test_the_encoder_comes_back_from_its_file_with_what_is_needed_to_build_it(tmp_path):
    config = ExperimentConfig(encoder=EncoderConfig(arch="resnet34", width=0.0625))
    encoder = ResNet("resnet34", 0.0625, "cifar", in_channels=1).to(memory_format=torch.channels_last)
    written = list(write_artifacts(tmp_path, encoder, config, {"knn_top1": 0.5}, {"map.png": b"P"}))
    assert {path.name for path in tmp_path.iterdir()} == {artifact["name"] for artifact in written}

    again = read_encoder(tmp_path / "encoder.safetensors")
    assert state_sha256(again) == state_sha256(encoder)
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(again.eval()(images), encoder.eval()(images))

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["summary"] == {"knn_top1": 0.5}
    assert ExperimentConfig.model_validate(report["config"]) == config


def test_an_encoder_of_timm_comes_back_too(tmp_path):
    config = ExperimentConfig(encoder=EncoderConfig(arch="timm:test_vit"), dataset=DatasetConfig(image_size=64))
    encoder = untrained_model(config, torch.device("cpu")).encoder
    list(write_artifacts(tmp_path, encoder, config, {}, {}))
    assert state_sha256(read_encoder(tmp_path / "encoder.safetensors")) == state_sha256(encoder)
