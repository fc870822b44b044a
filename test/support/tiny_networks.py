"""Untrained networks whose output depends on their input, and random crops."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tddfa_ros.training.networks import FaceNet, normalize


def textures(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random blotchy crops (n, S, S, 3) that differ in color, contrast and scale."""
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        cells = int(rng.integers(3, 24))
        blotches = rng.normal(rng.uniform(60, 190, 3), rng.uniform(15, 80), (cells, cells, 3))
        image = cv2.resize(np.clip(blotches, 0, 255), (size, size), interpolation=cv2.INTER_CUBIC)
        crops.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(crops)


def as_input(crops: NDArray[np.uint8]) -> torch.Tensor:
    """Convert crops to network input."""
    return normalize(torch.from_numpy(crops).permute(0, 3, 1, 2))


def settled(network: FaceNet, size: int = 96) -> FaceNet:
    """Set the statistics of normalization layers from some crops; with the initial ones, activations vanish."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the plain mean over all batches
    with torch.no_grad():
        for seed in range(4):
            network.train()(as_input(textures(8, size, seed)))
    return network.eval()
