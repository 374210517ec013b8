"""The ResNets against torchvision's, and the stems."""

import pytest
import torch
import torchvision
from torch import nn

from worker.simclr.nets.encoders import ResNet
from worker.simclr.nets.model import Architecture, build_encoder, build_model

RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def without_classifier(arch, **options):
    with torch.device("meta"):
        reference = getattr(torchvision.models, arch)(**options)
    reference.fc = nn.Identity()
    return reference


@pytest.mark.parametrize("arch", RESNETS)
def test_at_width_1_with_the_imagenet_stem_names_and_shapes_are_torchvisions(arch):
    with torch.device("meta"):
        ours = ResNet(arch, 1.0, "imagenet")
    expected = {name: tensor.shape for name, tensor in without_classifier(arch).state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == expected


@pytest.mark.parametrize("arch", RESNETS)
def test_the_number_of_parameters_is_torchvisions(arch):
    with torch.device("meta"):
        ours = ResNet(arch, 1.0, "imagenet")
    expected = sum(parameter.numel() for parameter in without_classifier(arch).parameters())
    assert sum(parameter.numel() for parameter in ours.parameters()) == expected


@pytest.mark.parametrize("arch", RESNETS)
def test_with_torchvisions_weights_h_is_what_torchvision_gives_its_classifier(arch):
    reference = without_classifier(arch).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    for name, tensor in reference.state_dict().items():
        if tensor.ndim == 4:
            nn.init.kaiming_normal_(tensor, generator=generator)
        elif name.endswith(("weight", "running_var")):
            nn.init.constant_(tensor, 0.5)
        else:
            nn.init.zeros_(tensor)
    ours = ResNet(arch, 1.0, "imagenet")
    ours.load_state_dict(reference.state_dict())
    images = torch.rand(2, 3, 64, 64, generator=generator)
    with torch.no_grad():
        h = ours.eval()(images)
        torch.testing.assert_close(h, reference.eval()(images))
    assert h.std() > 1e-3


@pytest.mark.parametrize(("arch", "last"), [("resnet18", "bn2.weight"), ("resnet50", "bn3.weight")])
def test_with_zero_init_residual_the_last_batch_norm_of_each_block_starts_at_0_and_nothing_else(arch, last):
    encoder = ResNet(arch, 0.0625, zero_init_residual=True)
    zero = {
        name for name, tensor in encoder.named_parameters() if name.endswith("weight") and not tensor.abs().sum() > 0
    }
    blocks = {name.removesuffix(".conv1") for name, _ in encoder.named_modules() if name.endswith(".conv1")}
    assert len(blocks) == sum({"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}[arch])
    assert zero == {f"{block}.{last}" for block in blocks}
    assert all(tensor.abs().sum() > 0 for name, tensor in ResNet(arch, 0.0625).named_parameters() if "weight" in name)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_may_have_any_number_of_channels(channels):
    encoder = build_encoder(Architecture(width=0.0625, in_channels=channels))
    assert encoder(torch.rand(2, channels, 16, 16)).shape == (2, encoder.feature_dim)
    assert encoder.in_channels == channels
    with pytest.raises(RuntimeError, match="channels"):
        encoder(torch.rand(2, 3, 16, 16))


def test_the_architecture_decides_the_encoder():
    small = build_encoder(Architecture(arch="resnet34", width=0.0625, stem="stride2", zero_init_residual=True))
    assert small.conv1.stride == (2, 2)
    assert len(small.layer3) == 6
    assert small.layer1[0].bn2.weight.abs().sum() == 0


def test_an_unknown_encoder_is_refused_by_name():
    with pytest.raises(ValueError, match="'resnet99' is no encoder"):
        build_encoder(Architecture(arch="resnet99"))


def test_the_net_of_a_seed_does_not_depend_on_what_was_drawn_before_and_draws_nothing_itself():
    torch.manual_seed(5)
    first = build_model(Architecture(width=0.0625), 0, torch.device("cpu"))
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    again = build_model(Architecture(width=0.0625), 0, torch.device("cpu"))
    assert torch.equal(first.encoder.layer4[1].conv2.weight, again.encoder.layer4[1].conv2.weight)


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
    ("arch", "width", "dim"),
    [("resnet18", 0.25, 128), ("resnet34", 2.0, 1024), ("resnet50", 0.5, 1024), ("resnet152", 4.0, 8192)],
)
def test_width_multiplies_the_dimension_of_h(arch, width, dim):
    with torch.device("meta"):
        encoder = ResNet(arch, width)
        assert encoder.feature_dim == dim
        assert encoder(torch.empty(2, 3, 32, 32)).shape == (2, dim)
