"""What a prediction should agree on: posed vertices, landmarks, and whitened coefficients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.config import LossWeights
from tddfa_ros.types import CROP_FRAME, POSE_SIZE

_INNER = ("inner_mouth", "tongue", "neck", "scalp")


class PosedPoints(nn.Module):
    """params (n, P) -> points (n, L, 3) in the crop frame: the 68 landmarks, then ``count`` vertices of the face."""

    def __init__(self, model: MorphableModel, count: int = 256, seed: int = 0) -> None:
        super().__init__()
        inner = [model.region_names.index(n) for n in _INNER if n in model.region_names]
        chosen = np.random.default_rng(seed).choice(
            np.flatnonzero(~np.isin(model.regions, inner)), count, replace=False
        )
        self.layout = model.layout

        def rows(values: np.ndarray) -> Tensor:
            at_landmarks = np.einsum(
                "lcx...,lc->lx...",
                values[model.triangles[model.landmark_triangles]],
                model.landmark_weights,
            )
            return torch.from_numpy(
                np.concatenate([at_landmarks, values[chosen]]).astype(np.float32)
            )

        joint = np.concatenate([model.shape_basis, model.expression_basis], axis=2)
        self.register_buffer("base", rows(np.asarray(model.mean)).reshape(-1))
        self.register_buffer("basis", rows(joint).reshape(-1, joint.shape[2]))
        self.base: Tensor
        self.basis: Tensor

    def forward(self, params: Tensor) -> Tensor:
        pose = params[:, :POSE_SIZE].reshape(-1, 3, 4)
        head = (self.base + params[:, POSE_SIZE:] @ self.basis.T).reshape(len(params), -1, 3)
        return head @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]


class FaceLoss(nn.Module):
    """Weighted sum of the terms, in px of the crop; returns the total and each term for the log."""

    def __init__(self, points: PosedPoints, std: Tensor, weights: LossWeights) -> None:
        super().__init__()
        self.points = points
        self.weights = weights
        self.register_buffer("std", std)
        self.std: Tensor

    def forward(
        self, params: Tensor, landmarks: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        found, wanted = self.points(params), self.points(target)
        terms = {
            "vertices": self._distance(found[:, 68:], wanted[:, 68:]),
            "mesh_landmarks": self._distance(found[:, :68], wanted[:, :68]),
            "direct_landmarks": _robust(landmarks - crop_pixels(wanted[:, :68])),
            "coefficients": ((params - target) / self.std)[:, POSE_SIZE:].abs().mean(),
        }
        total = sum((getattr(self.weights, k) * v for k, v in terms.items()), torch.zeros(()))
        return total, terms

    def _distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """x and y as they are; z relative to its mean, for its origin is arbitrary."""
        depth = found[..., 2] - wanted[..., 2]
        depth = depth - depth.mean(dim=1, keepdim=True)
        return _robust(found[..., :2] - wanted[..., :2]) + self.weights.depth * _robust(depth)


def crop_pixels(points: Tensor) -> Tensor:
    """Crop-frame points (..., 3), y up and 1-based, to crop pixels (..., 2), x right, y down."""
    return torch.stack([points[..., 0] - 1, CROP_FRAME - points[..., 1]], dim=-1)


def _robust(difference: Tensor) -> Tensor:
    """Mean Huber loss with its knee at 1.5 px: labels have outliers."""
    return nn.functional.huber_loss(difference, torch.zeros_like(difference), delta=1.5)
