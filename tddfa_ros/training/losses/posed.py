"""A face's parameters as points of its posed mesh: what the terms in px compare."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.types import CROP_FRAME, POSE_SIZE

_INNER = ("inner_mouth", "tongue", "neck", "scalp")


class PosedPoints(nn.Module):
    """params (n, P) -> points (n, L, 3) in the crop frame: the 68 landmarks, then ``count`` vertices of the face."""

    def __init__(self, model: MorphableModel, count: int = 256, seed: int = 0) -> None:
        super().__init__()
        inner = [model.region_names.index(n) for n in _INNER if n in model.region_names]
        face = np.flatnonzero(~np.isin(model.regions, inner))
        chosen = np.random.default_rng(seed).choice(face, min(count, len(face)), replace=False)
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
        pose = params[:, :POSE_SIZE].unflatten(1, (3, 4))
        head = (self.base + params[:, POSE_SIZE:] @ self.basis.T).unflatten(1, (-1, 3))
        return head @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]


def crop_pixels(points: Tensor) -> Tensor:
    """Crop-frame points (..., 3), y up and 1-based, to crop pixels (..., 2), x right, y down."""
    return torch.stack([points[..., 0] - 1, CROP_FRAME - points[..., 1]], dim=-1)
