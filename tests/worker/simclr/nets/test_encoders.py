"""The ResNets against torchvision's, and the stems."""

import pytest
import torch
import torchvision
from torch import nn

from worker.simclr.nets.encoders import ResNet
from worker.simclr.nets.heads import projection_head


def without_classifier(arch):
    with torch.device("meta"):
        reference = getattr(torchvision.models, arch)()
    reference.fc = nn.Identity()
    return reference


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50"])
def test_at_width_1_with_the_imagenet_stem_names_and_shapes_are_torchvisions(arch):
    with torch.device("meta"):
        ours = ResNet(arch, 1.0, "imagenet")
    expected = {name: tensor.shape for name, tensor in without_classifier(arch).state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == expected


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_with_torchvisions_weights_h_is_what_torchvision_gives_its_classifier(arch):
    reference = getattr(torchvision.models, arch)()
    reference.fc = nn.Identity()
    ours = ResNet(arch, 1.0, "imagenet")
    ours.load_state_dict(reference.state_dict())
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), reference.eval()(images))


def test_the_cifar_stem_is_3x3_with_stride_1_and_no_pooling():
    encoder = ResNet("resnet18", 0.25, "cifar")
    assert (encoder.conv1.kernel_size, encoder.conv1.stride) == ((3, 3), (1, 1))
    assert not any(isinstance(module, nn.MaxPool2d) for module in encoder.modules())
    sizes = []
    encoder.layer1.register_forward_hook(lambda _module, inputs, _output: sizes.append(inputs[0].shape[-1]))
    encoder.layer4.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape[-1]))
    encoder(torch.rand(2, 3, 32, 32))
    assert sizes == [32, 4]  # 32 pixels reach the first stage whole


@pytest.mark.parametrize(("stem", "size"), [("cifar", 32), ("stride2", 16), ("imagenet", 8)])
def test_each_stem_gives_the_first_stage_its_size(stem, size):
    encoder = ResNet("resnet18", 0.0625, stem)
    sizes = []
    encoder.layer1.register_forward_hook(lambda _module, inputs, _output: sizes.append(inputs[0].shape[-1]))
    encoder(torch.rand(2, 3, 32, 32))
    assert sizes == [size]


@pytest.mark.parametrize(
    ("arch", "width", "dim"), [("resnet18", 0.25, 128), ("resnet34", 2.0, 1024), ("resnet50", 0.5, 1024)]
)
def test_width_multiplies_the_dimension_of_h(arch, width, dim):
    with torch.device("meta"):
        encoder = ResNet(arch, width)
        assert encoder.feature_dim == dim
        assert encoder(torch.empty(2, 3, 32, 32)).shape == (2, dim)


def test_the_head_has_two_layers_as_in_the_paper():
    head = projection_head("nonlinear", 64, None, 16)
    layers = [module for module in head if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(64, 64), (64, 16)]
    assert isinstance(head[-1], nn.Linear)  # nothing after the last layer


def test_the_other_heads_are_one_layer_and_none():
    linear = projection_head("linear", 64, None, 16)
    assert isinstance(linear, nn.Linear)
    assert linear.out_features == 16
    h = torch.rand(2, 64)
    assert torch.equal(projection_head("none", 64, None, 16)(h), h)
    assert projection_head("nonlinear", 64, 32, 16)[0].out_features == 32
