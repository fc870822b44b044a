"""Robust distances, for labels have outliers: points of the mesh, the direct head's landmarks, coefficients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tddfa_ros.types import POSE_SIZE

KNEE_PX = 1.5
"""Where the Huber loss turns from square to straight."""


def robust(difference: Tensor) -> Tensor:
    """Mean Huber loss of differences in px, with its knee at :data:`KNEE_PX`."""
    return nn.functional.huber_loss(difference, torch.zeros_like(difference), delta=KNEE_PX)


def point_distance(found: Tensor, wanted: Tensor, depth_weight: float) -> Tensor:
    """Robust distance of points (n, L, 3), px: x and y as they are; z relative to its mean, for its origin is arbitrary."""
    depth = found[..., 2] - wanted[..., 2]
    depth = depth - depth.mean(dim=1, keepdim=True)
    return robust(found[..., :2] - wanted[..., :2]) + depth_weight * robust(depth)


def coefficient_distance(found: Tensor, wanted: Tensor, std: Tensor) -> Tensor:
    """Mean absolute error of the identity and expression coefficients of params (n, P), in standard deviations (P,)."""
    return ((found - wanted) / std)[:, POSE_SIZE:].abs().mean()
