"""Networks of 3DDFA and 3DDFA_V2 in torch, with the layer names of the checkpoints, so that state dicts load strictly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PARAMETERS = 62
LANDMARK_NUMBERS = 136

# MobileNet V1 (Howard et al. 2017, table 1): layer, output channels at width 1, stride.
_BLOCKS = (
    *(("dw2_1", 64, 1), ("dw2_2", 128, 2), ("dw3_1", 128, 1), ("dw3_2", 256, 2)),
    *(("dw4_1", 256, 1), ("dw4_2", 512, 2)),
    *((f"dw5_{i}", 512, 1) for i in range(1, 6)),
    *(("dw5_6", 1024, 2), ("dw6", 1024, 1)),
)


class _Separable(nn.Module):
    """A depthwise 3x3 convolution, then a pointwise one, each normalized and rectified."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.bn_dw = nn.BatchNorm2d(inputs)
        self.conv_sep = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn_dw(self.conv_dw(x)))
        return torch.relu(self.bn_sep(self.conv_sep(x)))


class MobileNetV1(nn.Module):
    """(n, 3, 120, 120) to whitened parameters (n, 62), and (n, 136) landmark numbers if the checkpoint has that head.

    Args:
        width: factor of all numbers of channels.
        landmarks: whether there is a head ``fc_lm``.
    """

    def __init__(self, width: float, landmarks: bool) -> None:
        super().__init__()
        channels = int(32 * width)
        self.conv1 = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for name, at_width_1, stride in _BLOCKS:
            self.add_module(name, _Separable(channels, int(at_width_1 * width), stride))
            channels = int(at_width_1 * width)
        self.fc_param = nn.Linear(channels, PARAMETERS)
        self.fc_lm = nn.Linear(channels, LANDMARK_NUMBERS) if landmarks else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.bn1(self.conv1(x)))
        for name, _, _ in _BLOCKS:
            x = self.get_submodule(name)(x)
        features = x.mean((2, 3))
        if self.fc_lm is None:
            return (self.fc_param(features),)
        return self.fc_param(features), self.fc_lm(features)


class _Residual(nn.Module):
    """The basic block of ResNet (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + kept)


class ResNet22(nn.Module):
    """3DDFA_V2's ResNet: 22 layers, no pooling before the last map, which 1x1 convolutions turn into the numbers of `MobileNetV1`."""

    def __init__(self, landmarks: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, 2, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                _Residual(inputs, 2 * inputs, 2),
                *(_Residual(2 * inputs, 2 * inputs, 1) for _ in range(blocks - 1)),
            )
            for inputs, blocks in ((64, 3), (128, 4), (256, 3))
        )
        self.conv_param = nn.Conv2d(512, PARAMETERS, 1)
        self.conv_lm = nn.Conv2d(512, LANDMARK_NUMBERS, 1) if landmarks else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        heads = [self.conv_param] if self.conv_lm is None else [self.conv_param, self.conv_lm]
        return tuple(head(x).mean((2, 3)) for head in heads)


class _Normalized(nn.Module):
    """A convolution, normalized and rectified."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class _BothSigns(_Normalized):
    """The C.ReLU of FaceBoxes' section 3.1: an output and its negative, both rectified."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return torch.relu(torch.cat([x, -x], 1))


class _Inception(nn.Module):
    """FaceBoxes' figure 2b: four branches of 32 channels with receptive fields of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.branch1x1 = _Normalized(128, 32, 1)
        self.branch1x1_2 = _Normalized(128, 32, 1)
        self.branch3x3_reduce = _Normalized(128, 24, 1)
        self.branch3x3 = _Normalized(24, 32, 3, padding=1)
        self.branch3x3_reduce_2 = _Normalized(128, 24, 1)
        self.branch3x3_2 = _Normalized(24, 32, 3, padding=1)
        self.branch3x3_3 = _Normalized(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(x, 3, 1, 1)
        wide = self.branch3x3_3(self.branch3x3_2(self.branch3x3_reduce_2(x)))
        narrow = self.branch3x3(self.branch3x3_reduce(x))
        return torch.cat([self.branch1x1(x), self.branch1x1_2(pooled), narrow, wide], 1)


class FaceBoxesNet(nn.Module):
    """FaceBoxes (Zhang et al. 2017): BGR minus mean (1, 3, H, W) to offsets (1, P, 4) and probabilities (1, P, 2) of background and face."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _BothSigns(3, 24, 7, 4, 3)
        self.conv2 = _BothSigns(48, 64, 5, 2, 2)
        self.inception1, self.inception2, self.inception3 = (_Inception() for _ in range(3))
        self.conv3_1 = _Normalized(128, 128, 1)
        self.conv3_2 = _Normalized(128, 256, 3, 2, 1)
        self.conv4_1 = _Normalized(256, 128, 1)
        self.conv4_2 = _Normalized(128, 256, 3, 2, 1)
        maps = ((128, 21), (256, 1), (256, 1))  # channels, priors per cell
        self.loc = nn.ModuleList(nn.Conv2d(c, 4 * k, 3, padding=1) for c, k in maps)
        self.conf = nn.ModuleList(nn.Conv2d(c, 2 * k, 3, padding=1) for c, k in maps)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.max_pool2d(self.conv1(x), 3, 2, 1)
        x = nn.functional.max_pool2d(self.conv2(x), 3, 2, 1)
        first = self.inception3(self.inception2(self.inception1(x)))
        second = self.conv3_2(self.conv3_1(first))
        third = self.conv4_2(self.conv4_1(second))
        maps = (first, second, third)
        rows = [
            torch.cat(
                [
                    head(m).permute(0, 2, 3, 1).reshape(x.shape[0], -1, numbers)
                    for head, m in zip(heads, maps, strict=True)
                ],
                1,
            )
            for heads, numbers in ((self.loc, 4), (self.conf, 2))
        ]
        return rows[0], rows[1].softmax(-1)
