"""Network of the detector: depthwise separable backbone, feature pyramid at strides 8, 16 and 32, one head per stride."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tddfa_ros.detection.tddfa_detect import CHANNELS, STRIDES

INPUT_SCALE = 128.0
"""Pixels are divided by this and not centered, so that zero padding inside the network is zero padding of the image."""

_PRIOR = 0.01  # score of every cell of an untrained network (Lin et al. 2017, section 4.1)
_START_SIDE = 2.0  # sides of the boxes of an untrained network in strides


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, inputs, 3, stride, inputs), _conv(inputs, outputs, 1))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = _separable(inputs, outputs, 2)
    return nn.Sequential(first, *(_separable(outputs, outputs) for _ in range(blocks)))


class DetectorNet(nn.Module):
    """Anchor-free detector.

    Args:
        channels: of the backbone at strides 2, 4, 8, 16, 32.
        blocks: without stride, at strides 4, 8, 16, 32.
        pyramid: channels of the feature pyramid.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int], pyramid: int) -> None:
        super().__init__()
        self.input_scale = INPUT_SCALE
        self.stem = _conv(3, channels[0], 3, 2)
        self.stages = nn.ModuleList(
            _stage(i, o, b) for i, o, b in zip(channels, channels[1:], blocks, strict=False)
        )
        self.laterals = nn.ModuleList(_conv(c, pyramid, 1) for c in channels[2:])
        self.mixers = nn.ModuleList(_separable(pyramid, pyramid) for _ in STRIDES)
        self.heads = nn.ModuleList(_head(pyramid) for _ in STRIDES)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the maps (n, 15, H / s, W / s) of each stride s from images (n, 3, H, W), 0..255, H and W multiples of 32."""
        x = self.stem(image if self.input_scale == 1 else image / self.input_scale)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        maps: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(STRIDES))):
            mixed = self.laterals[level](features[level + 1])
            if above is not None:
                mixed = mixed + functional.interpolate(above, scale_factor=2.0, mode="nearest")
            above = self.mixers[level](mixed)
            maps.insert(0, self.heads[level](above))
        return maps

    def with_folded_scale(self) -> DetectorNet:
        """Return a copy whose first weights include the division by :data:`INPUT_SCALE`."""
        network = copy.deepcopy(self)
        first = network.stem[0]
        assert isinstance(first, nn.Conv2d)
        with torch.no_grad():
            first.weight /= self.input_scale
        network.input_scale = 1.0
        return network


def _head(pyramid: int) -> nn.Sequential:
    last = nn.Conv2d(pyramid, CHANNELS, 1)
    nn.init.normal_(last.weight, std=0.01)
    assert last.bias is not None
    with torch.no_grad():
        last.bias.zero_()
        last.bias[0] = -math.log((1 - _PRIOR) / _PRIOR)
        last.bias[3:5] = math.log(_START_SIDE)
    return nn.Sequential(_conv(pyramid, pyramid, 3, 1, pyramid), last)
