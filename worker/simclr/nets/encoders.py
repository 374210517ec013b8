"""ResNet encoders f (section 2.1): images to representations h, at any width, with a stem that fits the image size.

Names of parameters and buffers are torchvision's, so that at width 1 with the 'imagenet' stem weights can be exchanged.
"""

from typing import Literal

from torch import Tensor, nn

ResNetName = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
Stem = Literal["cifar", "imagenet", "stride2"]

DEPTHS: dict[ResNetName, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


class Encoder(nn.Module):
    """Images (B, in_channels, S, S) to representations h (B, feature_dim)."""

    in_channels: int
    feature_dim: int


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The shortcut where a block changes the shape; None where it is the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) to (B, channels, S / stride, S / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride, as torchvision's "v1.5") and 1x1 convolutions and a shortcut (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = _conv(in_channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) to (B, 4 channels, S / stride, S / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + shortcut)


class ResNet(Encoder):
    """A ResNet without its classifier: ``forward`` gives h, the output after average pooling.

    ``width`` multiplies every number of channels (the paper's 1x, 2x, 4x; also below 1).
    ``stem`` 'cifar' is 3x3 stride 1 without pooling (appendix B.9), 'imagenet' 7x7 stride 2 with max-pooling,
    'stride2' 3x3 stride 2 without pooling.
    ``zero_init_residual`` starts the last batch normalisation of every block at 0, so that the block is its shortcut
    (Goyal et al. 2017), as the authors' code always does.
    """

    def __init__(
        self,
        arch: ResNetName = "resnet18",
        width: float = 1.0,
        stem: Stem = "cifar",
        *,
        in_channels: int = 3,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        base = max(1, round(64 * width))
        kernel, stride = {"cifar": (3, 1), "imagenet": (7, 2), "stride2": (3, 2)}[stem]
        self.conv1 = _conv(in_channels, base, kernel, stride)
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()

        block = BasicBlock if arch in ("resnet18", "resnet34") else Bottleneck
        stages: list[nn.Sequential] = []
        inner = base
        for stage, depth in enumerate(DEPTHS[arch]):
            channels = base * 2**stage
            blocks: list[nn.Module] = []
            for index in range(depth):
                blocks.append(block(inner, channels, stride=2 if stage > 0 and index == 0 else 1))
                inner = channels * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.in_channels, self.feature_dim = in_channels, inner
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        """He initialisation (fan out), as torchvision does it. (The authors' code scales by the fan in.)"""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                nn.init.zeros_(last.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, in_channels, S, S) in [0, 1] to representations h (B, feature_dim)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))
