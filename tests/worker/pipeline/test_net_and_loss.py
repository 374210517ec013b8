"""Every axis of the paper that concerns net, head, loss and optimiser is a field of the config that is obeyed."""

import pytest
import torch
from torch import nn

from backend.contracts.config import ExperimentConfig
from worker.pipeline.build import make_architecture, make_learner, make_loss, untrained_model
from worker.pipeline.errors import ConfigError
from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture

CPU = torch.device("cpu")


def config_of(**sections):
    return ExperimentConfig.model_validate(sections)


def test_every_field_of_encoder_and_head_reaches_the_architecture():
    config = config_of(
        dataset={"image_size": 96},
        encoder={"arch": "resnet101", "width": 2, "stem": "stride2", "zero_init_residual": True},
        head={"hidden_layers": 3, "hidden_dim": 64, "output_dim": 32, "batch_norm": "all"},
    )
    assert make_architecture(config, in_channels=1) == Architecture(
        arch="resnet101",
        width=2,
        stem="stride2",
        in_channels=1,
        image_size=96,
        zero_init_residual=True,
        head="nonlinear",
        hidden_layers=3,
        hidden_dim=64,
        output_dim=32,
        batch_norm="all",
    )


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (96, 7)])
def test_the_stem_auto_goes_by_the_size_of_the_images(size, kernel):
    config = config_of(dataset={"image_size": size}, encoder={"width": 0.0625})
    assert untrained_model(config, CPU).encoder.conv1.kernel_size == (kernel, kernel)


@pytest.mark.parametrize(
    "loss",
    [
        {},
        {"temperature": 0.1},
        {"temperature": 10, "normalize": False},
        {"name": "nt_logistic", "temperature": 0.2},
        {"name": "nt_logistic", "semi_hard": True},
        {"name": "margin_triplet", "margin": 0.4},
        {"name": "margin_triplet", "margin": 0.4, "semi_hard": True},
    ],
    ids=str,
)
def test_every_field_of_the_loss_is_obeyed(loss):
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    value = make_loss(config_of(loss=loss))(z, None).loss
    assert torch.equal(value, contrastive_loss(z, **loss).loss)
    assert not loss or not torch.equal(value, make_loss(config_of())(z, None).loss)


def test_the_loss_takes_the_anchors_of_one_process():
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    anchors = torch.tensor([0, 4])
    assert torch.equal(make_loss(config_of())(z, anchors).loss, contrastive_loss(z, anchors=anchors).loss)


def test_every_field_of_the_optimiser_is_obeyed():
    section = {"name": "sgd", "weight_decay": 0.01, "momentum": 0.8, "nesterov": True}
    learner = make_learner(config_of(encoder={"width": 0.0625}, optimizer=section), CPU, images=512)
    group = learner.optimizer.param_groups[0]
    assert (group["weight_decay"], group["momentum"], group["nesterov"]) == (0.01, 0.8, True)


def test_a_net_of_timm_learns_from_images_of_one_channel():
    config = config_of(encoder={"arch": "timm:test_resnet"}, head={"output_dim": 16})
    learner = make_learner(config, CPU, images=512, in_channels=1)
    z = learner.model.train()(torch.rand(4, 1, 32, 32))
    make_loss(config)(z, None).loss.backward()
    assert isinstance(learner.model.encoder, nn.Module)
    assert z.shape == (4, 16)


@pytest.mark.parametrize(
    ("encoder", "size", "reason"),
    [("timm:resnet_of_nobody", 32, "timm knows no net"), ("timm:test_vit", 8, "does not take 3 x 8 x 8 pixels")],
)
def test_an_encoder_that_cannot_be_is_refused_by_its_field(encoder, size, reason):
    config = config_of(dataset={"image_size": size}, encoder={"arch": encoder})
    with pytest.raises(ConfigError, match=reason) as caught:
        make_learner(config, CPU, images=512)
    assert caught.value.field == "encoder.arch"
