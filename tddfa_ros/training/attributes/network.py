"""Network that estimates age, gender presentation and smiling from the crop of the face network.

It is initialized with the backbone of a trained face network, whose first layers are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.checkpoint import averaged, load
from tddfa_ros.training.networks import MobileNetV1

YEARS = 101
"""Age is a distribution over 0, 1, ... 100 years."""

_BATCH_OF_STEM = 64


@dataclass(frozen=True)
class AttributeConfig:
    """Options of the training.

    Attributes:
        width: of MobileNet V1.
        size: side of the crops, px.
        fixed_layers: number of frozen layers of the backbone; 11 of 27 end at stride 8; 0: all layers are trained.
        views: augmented views of each face; half of them are mirrored.
        epochs: passes over all faces, each with a random view.
        batch: faces per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        age_sigma: of the label distribution, years.
        expectation: weight of the error of the expected age, per year.
        seed: of the split, the views, the weights and the order.
    """

    width: float = 0.5
    size: int = 120
    fixed_layers: int = 11
    views: int = 2
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    age_sigma: float = 2.5
    expectation: float = 0.1
    seed: int = 0


class AttributeLogits(NamedTuple):
    """Logits of n faces: age (n, 101), feminine (n,) and smiling (n,)."""

    age: Tensor
    feminine: Tensor
    smiling: Tensor


class AttributeNet(nn.Module):
    """A backbone with a small head per attribute on the mean of its last two feature maps."""

    def __init__(self, width: float = 0.5, fixed_layers: int = 11) -> None:
        super().__init__()
        backbone = MobileNetV1(width)
        fine_end = backbone.ends[-2]
        if not 0 <= fixed_layers < fine_end:
            raise ValueError(f"fixed_layers must be 0 to {fine_end - 1}, not {fixed_layers}")
        self.stem = backbone.layers[:fixed_layers]
        self.fine = backbone.layers[fixed_layers:fine_end]
        self.coarse = backbone.layers[fine_end:]
        features = backbone.channels[-2] + backbone.channels[-1]
        self.age_head = _head(features, 128, YEARS)
        self.feminine_head = _head(features, 64, 1)
        self.smiling_head = _head(features, 64, 1)

    def forward(self, image: Tensor) -> AttributeLogits:
        return self.finish(self.stem(image))

    def finish(self, maps: Tensor) -> AttributeLogits:
        """Compute the logits from feature maps of the frozen layers."""
        fine = self.fine(maps)
        features = torch.cat([fine.mean((2, 3)), self.coarse(fine).mean((2, 3))], dim=1)
        return AttributeLogits(
            self.age_head(features),
            self.feminine_head(features)[:, 0],
            self.smiling_head(features)[:, 0],
        )

    def start_from(self, checkpoint: Path) -> None:
        """Initialize the backbone from the checkpoint of a face network.

        Raises:
            ConfigError: the file is not a checkpoint, or its backbone has another width.
        """
        weights = averaged(load(checkpoint))
        prefix = "backbone.layers."
        given = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
        layers = nn.Sequential(*self.stem, *self.fine, *self.coarse)
        try:
            layers.load_state_dict(given)
        except RuntimeError as error:
            raise ConfigError(f"{checkpoint} has another backbone than this network") from error


def width_of(checkpoint: Path) -> float:
    """Read the width of the backbone from the checkpoint of a face network.

    Raises:
        ConfigError: the file is not a checkpoint.
    """
    return float(load(checkpoint)["config"].get("width", AttributeConfig.width))


def _head(features: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(0.2), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def predict(
    network: AttributeNet, maps: NDArray[np.float16], batch: int = 128
) -> dict[str, NDArray[np.float32]]:
    """Compute the logits (n, ...) by name, for the first view of every face."""
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(maps), batch):
            seen = torch.from_numpy(maps[start : start + batch, 0].astype(np.float32))
            parts.append(network.finish(seen))
    return {
        name: torch.cat([getattr(p, name) for p in parts]).numpy()
        for name in AttributeLogits._fields
    }
