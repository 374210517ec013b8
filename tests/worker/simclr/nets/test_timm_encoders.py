"""Nets of timm as encoders, and what is said where one cannot be."""

import sys

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

from worker.simclr.losses.contrastive import contrastive_loss
from worker.simclr.nets.model import Architecture, build_encoder, build_model
from worker.simclr.nets.timm_encoders import UnfitEncoderError, timm_encoder


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        ("test_resnet", 32, 3),
        ("test_resnet", 48, 1),
        ("test_vit", 32, 3),
        ("test_vit", 64, 4),
        ("test_convnext", 64, 3),
    ],
)
def test_h_is_what_timm_gives_without_a_classifier(name, size, channels):
    encoder = build_encoder(Architecture(arch=f"timm:{name}", in_channels=channels, image_size=size)).eval()
    size_of_vit = {"img_size": size} if name == "test_vit" else {}
    reference = timm.create_model(name, num_classes=0, in_chans=channels, **size_of_vit).eval()
    reference.load_state_dict(encoder.state_dict())  # under timm's names
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        h = encoder(images)
        torch.testing.assert_close(h, reference(images))
    assert h.shape == (2, encoder.feature_dim)
    assert encoder.in_channels == channels


def test_the_dimension_of_h_is_measured_where_timm_calls_another_number_so():
    encoder = timm_encoder("mobilenetv3_small_050", in_channels=3, image_size=32)
    assert encoder.num_features != encoder.feature_dim == 1024


def test_a_net_of_timm_trains_under_our_head_in_channels_last_layout():
    model = build_model(Architecture(arch="timm:test_resnet", output_dim=16), 0, torch.device("cpu")).train()
    z = model(torch.rand(8, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    contrastive_loss(z).loss.backward()
    assert z.shape == (8, 16)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_weights_of_a_seed_are_always_the_same():
    first, again, other = (
        build_model(Architecture(arch="timm:test_vit"), seed, torch.device("cpu")).encoder.state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_nothing_random_is_left_in_the_net(monkeypatch):
    """Dropout and stochastic depth would draw numbers that do not follow from (seed, step)."""
    create_model = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *args, **options: create_model(*args, **options, drop_rate=0.3, drop_path_rate=0.3)
    )
    encoder = timm_encoder("test_vit", in_channels=3, image_size=32)
    assert any(isinstance(module, DropPath) for module in encoder.modules())
    assert any(isinstance(module, nn.Dropout) for module in encoder.modules())
    images = torch.rand(4, 3, 32, 32)
    assert encoder.training
    assert torch.equal(encoder(images), encoder(images))


def test_an_unknown_name_is_refused_with_those_that_are_close():
    with pytest.raises(UnfitEncoderError, match=r"knows no net 'resnet27'.*resnet26"):
        timm_encoder("resnet27", in_channels=3, image_size=32)
    with pytest.raises(UnfitEncoderError, match=r"knows no net 'qqqqqq'\.$"):
        timm_encoder("qqqqqq", in_channels=3, image_size=32)


def test_a_net_that_cannot_take_images_of_this_size_is_refused_with_the_size():
    with pytest.raises(UnfitEncoderError, match=r"does not take 3 x 8 x 8 pixels.*another image size"):
        timm_encoder("test_vit", in_channels=3, image_size=8)


def test_without_timm_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnfitEncoderError, match="install the package timm"):
        build_encoder(Architecture(arch="timm:resnet18"))
