"""Networks that regress a face from a crop: a backbone, and a head for each thing it tells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# MobileNet V1 (Howard et al. 2017, table 1): output channels at width 1 and stride of each depthwise separable block.
_MOBILENET_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class MobileNetV1(nn.Module):
    """MobileNet V1 at any width: (n, 3, S, S) -> features (n, ``features``)."""

    def __init__(self, width: float = 0.5) -> None:
        super().__init__()
        channels = int(32 * width)
        layers: list[nn.Module] = [_conv(3, channels, 3, 2)]
        for outputs, stride in _MOBILENET_BLOCKS:
            layers.append(_conv(channels, channels, 3, stride, groups=channels))
            layers.append(_conv(channels, int(outputs * width), 1, 1))
            channels = int(outputs * width)
        self.layers = nn.Sequential(*layers)
        self.features = channels

    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.layers(image)
        return maps.mean(dim=(2, 3))


class FaceNet(nn.Module):
    """Backbone, parameter head and direct landmark head.

    ``forward``: image (n, 3, S, S) normalised as (bgr - 127.5) / 128 -> params (n, P) in natural units and landmarks (n, 68, 2) in
    px of the 120-px crop, x right, y down. Targets are whitened inside, so the heads start at the mean face.
    """

    def __init__(self, backbone: nn.Module, features: int, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.param_head = nn.Linear(features, len(mean))
        self.landmark_head = nn.Linear(features, 136)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.mean: Tensor
        self.std: Tensor
        for head in (self.param_head, self.landmark_head):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)

    def start_at(self, landmarks: Tensor) -> None:
        """Make the untrained landmark head answer with these (68, 2) crop px, as the parameter head does with the mean."""
        with torch.no_grad():
            self.landmark_head.bias.copy_((landmarks.reshape(-1) - 60) / 60)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(image)
        params = self.param_head(features) * self.std + self.mean
        landmarks = self.landmark_head(features).reshape(-1, 68, 2) * 60 + 60
        return params, landmarks
