"""The position map that parameters give: they are known for every augmented crop, so the map is too."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.uv_map import uv_surface
from tddfa_ros.training.networks import UV_SIZE
from tddfa_ros.types import POSE_SIZE


class UvTarget(nn.Module):
    """params (n, P) -> (n, 3, u, u) x, y, z in the crop frame at every texel of the model's texture, 0 where there is no surface.

    Attributes:
        mask: (u, u) 1 where there is a surface.
    """

    def __init__(self, model: MorphableModel, size: int = UV_SIZE) -> None:
        super().__init__()
        surface = uv_surface(model, size)
        basis = surface.basis(model)
        self.register_buffer("mask", torch.from_numpy(surface.mask.astype(np.float32)))
        self.register_buffer("base", torch.from_numpy(basis.mean).reshape(-1))
        self.register_buffer(
            "joint", torch.from_numpy(basis.joint.reshape(-1, basis.joint.shape[2]))
        )
        self.mask: Tensor
        self.base: Tensor
        self.joint: Tensor

    def forward(self, params: Tensor) -> Tensor:
        pose = params[:, :POSE_SIZE].reshape(-1, 3, 4)
        head = (self.base + params[:, POSE_SIZE:] @ self.joint.T).reshape(len(params), -1, 3)
        points = head @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]
        size = len(self.mask)
        out = points.new_zeros(len(params), 3, size * size)
        out[:, :, self.mask.flatten() > 0] = points.transpose(1, 2)
        return out.reshape(-1, 3, size, size)
