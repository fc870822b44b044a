"""Networks that regress a face from a crop: a backbone and one head per output.

To add a backbone, give it ``channels`` and ``strides`` of its feature maps, finest first, and a ``forward`` that returns these maps, and
register it in :data:`BACKBONES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from tddfa_ros.types import CROP_FRAME

PARSING_CLASSES = 9
UV_SIZE = 32
OPTIONAL_HEADS = ("confidence", "landmark_sigma", "parsing", "uv_position")
SIGMA_RANGE = (0.05, 30.0)
"""Smallest and largest standard deviation of a landmark that the network can predict, px of the 120-px crop."""
_START_SIGMA = 1.0

# MobileNet V1 (Howard et al. 2017, table 1): output channels at width 1 and stride of each depthwise separable block.
_MOBILENET_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


class Backbone(Protocol):
    """Interface of a backbone.

    Attributes:
        channels: of each feature map, finest first; parameters are regressed from the last one.
        strides: of each feature map, px of the crop per cell.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Compute the maps (n, channels[i], S / strides[i], S / strides[i]) of an image (n, 3, S, S)."""
        ...


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class MobileNetV1(nn.Module):
    """MobileNet V1 at any width.

    Args:
        width: factor of all numbers of channels.
        net_stride: stride of the last feature map: 32 as published, 16 or 8 for finer (and slower) last layers.

    Attributes:
        strides: of the returned feature maps, finest first.
        channels: of these maps.
        ends: number of ``layers`` up to each of these maps.
    """

    def __init__(self, width: float = 0.5, net_stride: int = 32) -> None:
        super().__init__()
        channels, total = int(32 * width), 2
        layers: list[nn.Module] = [_conv(3, channels, 3, 2)]
        ends: dict[int, tuple[int, int]] = {}  # stride -> number of layers, channels
        for outputs, wanted in _MOBILENET_BLOCKS:
            stride = wanted if total * wanted <= net_stride else 1
            total *= stride
            layers.append(_conv(channels, channels, 3, stride, groups=channels))
            layers.append(_conv(channels, int(outputs * width), 1, 1))
            channels = int(outputs * width)
            ends[total] = (len(layers), channels)
        self.layers = nn.Sequential(*layers)
        self.strides = tuple(stride for stride in ends if stride >= 4)
        self.channels = tuple(ends[stride][1] for stride in self.strides)
        self.ends = tuple(ends[stride][0] for stride in self.strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, start = [], 0
        for end in self.ends:
            image = self.layers[start:end](image)
            maps.append(image)
            start = end
        return maps


BACKBONES: dict[str, Callable[[float, int], nn.Module]] = {"mobilenet_v1": MobileNetV1}
"""Name of a backbone in configurations -> (width, net_stride) -> module with the interface :class:`Backbone`."""


class Predictions(NamedTuple):
    """Outputs of the network for n crops of S px.

    Attributes:
        params: (n, P), natural units, 120-px crop frame.
        landmarks: (n, 68, 2) px of the 120-px crop, x right, y down.
        confidence: (n,) logit of "there is a face", or None.
        parsing: (n, C, S/4, S/4) logits of the regions, or None.
        uv_position: (n, 3, u, u) position map, px of the crop frame, or None.
        landmark_sigma: (n, 68) standard deviation of each coordinate of the mesh's landmarks, px of the 120-px crop, or None.
    """

    params: Tensor
    landmarks: Tensor
    confidence: Tensor | None = None
    parsing: Tensor | None = None
    uv_position: Tensor | None = None
    landmark_sigma: Tensor | None = None


class FaceNet(nn.Module):
    """A backbone with heads for parameters and direct landmarks, and the optional heads in ``heads`` (:data:`OPTIONAL_HEADS`).

    The input is a batch of crops (n, 3, S, S), normalized as (bgr - 127.5) / 128. Parameters and landmarks are in the frame of a 120-px crop
    for any S. Parameters are whitened inside with ``mean`` and ``std`` (P,), so an untrained head predicts the mean face.
    """

    def __init__(
        self, backbone: nn.Module, mean: Tensor, std: Tensor, heads: Collection[str] = ()
    ) -> None:
        super().__init__()
        channels: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        features = channels[-1]
        self.backbone = backbone
        self.param_head = nn.Linear(features, len(mean))
        self.landmark_head = nn.Linear(features, 136)
        self.confidence_head = _ConfidenceHead(features) if "confidence" in heads else None
        self.parsing_head = _ParsingHead(channels) if "parsing" in heads else None
        self.uv_head = _UvHead(features) if "uv_position" in heads else None
        self.sigma_head = nn.Linear(features, 68) if "landmark_sigma" in heads else None
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.mean: Tensor
        self.std: Tensor
        for head in (self.param_head, self.landmark_head):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        if self.sigma_head is not None:
            nn.init.zeros_(self.sigma_head.weight)
            nn.init.constant_(self.sigma_head.bias, math.log(_START_SIGMA))

    def start_at(self, landmarks: Tensor) -> None:
        """Initialize the landmark head so that it predicts ``landmarks`` (68, 2), crop px, before training."""
        with torch.no_grad():
            self.landmark_head.bias.copy_((landmarks.reshape(-1) - 60) / 60)

    def forward(self, image: Tensor) -> Predictions:
        maps = self.backbone(image)
        parsing = None if self.parsing_head is None else self.parsing_head(maps)
        # bfloat16 resolves 120 px to half a px only: heads that predict positions compute in float32
        with torch.autocast(image.device.type, enabled=False):
            features = maps[-1].float().mean(dim=(2, 3))
            return Predictions(
                self.param_head(features) * self.std + self.mean,
                self.landmark_head(features).reshape(-1, 68, 2) * 60 + 60,
                None if self.confidence_head is None else self.confidence_head(features),
                parsing,
                None if self.uv_head is None else self.uv_head(features),
                None if self.sigma_head is None else self._sigma(self.sigma_head(features)),
            )

    @staticmethod
    def _sigma(logarithm: Tensor) -> Tensor:
        low, high = (math.log(limit) for limit in SIGMA_RANGE)
        return logarithm.clamp(low, high).exp()


class _ConfidenceHead(nn.Module):
    """One hidden layer: the presence of a face is not a linear function of features that were trained for its position."""

    def __init__(self, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        logit: Tensor = self.layers(features)
        return logit[:, 0]


class _ParsingHead(nn.Module):
    """A feature pyramid (Lin et al., 2017) with stride 4: coarse maps are upsampled and added to finer ones.

    Maps of a network that was trained for parameters tell the place of a face only as their mean, so a grid regressed from the mean is added.
    """

    def __init__(
        self, channels: tuple[int, ...], width: int = 32, hidden: int = 64, grid: int = 15
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.grid = nn.Sequential(
            nn.Linear(channels[-1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, width * grid**2),
            nn.Unflatten(1, (width, grid, grid)),
        )
        self.smooth = _conv(width, width, 3, 1)
        self.classify = nn.Conv2d(width, PARSING_CLASSES, 1)
        last: nn.Linear = self.grid[2]  # type: ignore[assignment]
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        merged = self.lateral[-1](maps[-1])
        for lateral, finer in zip(reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True):
            merged = nn.functional.interpolate(merged, size=finer.shape[2:], mode="nearest")
            merged = merged + lateral(finer)
        grid = self.grid(maps[-1].mean(dim=(2, 3)))
        merged = merged + nn.functional.interpolate(grid, size=merged.shape[2:], mode="bilinear")
        logits: Tensor = self.classify(self.smooth(merged))
        return logits


class _UvHead(nn.Module):
    """Map features to the coefficients of a linear basis of UV position maps.

    Pose and mean face enter a map linearly, so few components are needed; a hidden layer adds the products of rotation and deformation.
    """

    def __init__(self, features: int, components: int = 64, hidden: int = 192) -> None:
        super().__init__()
        self.linear = nn.Linear(features, components)
        self.hidden = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, components, bias=False)
        )
        self.basis = nn.Linear(components, 3 * UV_SIZE**2)
        nn.init.normal_(self.basis.weight, std=0.02)
        nn.init.zeros_(self.basis.bias)
        middle = torch.tensor([CROP_FRAME / 2, CROP_FRAME / 2, 0.0]).reshape(3, 1, 1)
        self.register_buffer("middle", middle, persistent=False)

    def start_at(self, positions: Tensor) -> None:
        """Initialize mean and components with the principal components of maps (n, 3, u, u), px of the crop frame."""
        flat = ((positions - self.middle) / (CROP_FRAME / 2)).flatten(1)
        mean = flat.mean(dim=0)
        _, size, components = torch.linalg.svd(flat - mean, full_matrices=False)
        count = min(len(size), self.basis.in_features)
        with torch.no_grad():
            self.basis.bias.copy_(mean)
            scale = size[:count] / len(flat) ** 0.5
            self.basis.weight[:, :count] = components[:count].T * scale

    def forward(self, features: Tensor) -> Tensor:
        coefficients = self.linear(features) + self.hidden(features)
        centered: Tensor = self.basis(coefficients).reshape(-1, 3, UV_SIZE, UV_SIZE)
        return centered * (CROP_FRAME / 2) + self.middle


def normalize(image: Tensor) -> Tensor:
    """Normalize crops (n, 3, S, S) uint8 BGR to the input of the network: (bgr - 127.5) / 128."""
    scaled: Tensor = (image.float() - 127.5) / 128
    return scaled.to(memory_format=torch.channels_last)
