"""Losses of 3DDFA (Zhu et al., 2017) and 3DDFA_V2 (Guo et al., 2020): vertex distance cost (VDC), weighted parameter distance cost (WPDC, fWPDC)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.losses.terms import PosedPoints
from tddfa_ros.types import POSE_SIZE

DEPTH_OFFSET = 11
"""Index of t_z among the parameters: not observable under weak perspective, so no loss depends on it."""


def vertex_distance_cost(points: PosedPoints, found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared distance of posed points, px^2, with the true t_z in place of the predicted one.

    3DDFA uses all vertices; the 68 landmarks and the fixed sample of vertices of ``points`` estimate the same mean at a fraction of the cost.

    Args:
        points: posed landmarks and vertices of the model.
        found: params (n, P), natural units.
        wanted: params (n, P), natural units.
    """
    level = torch.cat(
        [found[:, :DEPTH_OFFSET], wanted[:, [DEPTH_OFFSET]], found[:, DEPTH_OFFSET + 1 :]], dim=1
    )
    difference: Tensor = points(level) - points(wanted)
    return difference.square().sum(dim=2).mean()


class Wpdc(nn.Module):
    """Squared error of the whitened parameters, each weighted by the vertex displacement that its error causes.

    The weight of a parameter is the norm, over all points, of the displacement when this parameter alone is corrected. ``V = R (u + B a) + t``
    is linear in each parameter, so no reconstruction per parameter is needed:

    - R[i, j]: ``|dR[i, j]| * |row j|``, the row of x, y or z coordinates of the head u + B a;
    - t: ``|dt| * sqrt(N)``, but t_z has weight 0 (see :data:`DEPTH_OFFSET`);
    - coefficient k: ``scale * |da[k]| * |B[:, k]|``, the scale of the predicted pose being ``(|r1| + |r2|) / 2``.

    The weights of a face are divided by the largest one and have no gradient.

    :meth:`over_mesh` is WPDC: all N vertices. :meth:`over_points` is fWPDC, the version of 3DDFA_V2 fast enough for every
    step: the norms of the basis do not depend on the face and are computed once; those of the head are taken over the 68 landmarks and a
    fixed sample of vertices. The factor of fewer points cancels in the division, so the weights estimate those of WPDC, without neck and
    scalp, which :class:`PosedPoints` does not sample.

    Args:
        base: (3L,) mean, meters, xyz interleaved.
        basis: (3L, S + E), meters.
        std: (P,) of the whitening.
    """

    def __init__(self, base: Tensor, basis: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("base", base, persistent=False)
        self.register_buffer("basis", basis, persistent=False)
        norms = basis.double().norm(dim=0).to(basis.dtype)
        self.register_buffer("column_norms", norms, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.base: Tensor
        self.basis: Tensor
        self.column_norms: Tensor
        self.std: Tensor

    @classmethod
    def over_mesh(cls, model: MorphableModel, std: Tensor) -> Wpdc:
        """Create WPDC over all vertices of the model."""
        joint = np.concatenate([model.shape_basis, model.expression_basis], axis=2)
        base, basis = model.mean.reshape(-1), joint.reshape(-1, joint.shape[2])
        return cls(torch.from_numpy(base.copy()), torch.from_numpy(basis), std)

    @classmethod
    def over_points(cls, points: PosedPoints, std: Tensor) -> Wpdc:
        """Create fWPDC over the landmarks and sampled vertices of ``points``."""
        return cls(points.base, points.basis, std)

    def forward(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean over faces and parameters of params (n, P) in natural units."""
        return (self.weights(found, wanted) * ((found - wanted) / self.std).square()).mean()

    def weights(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return weights (n, P), 0..1, the largest of each face 1; all 0 for a face without error."""
        with torch.no_grad():
            error = (found - wanted).abs()
            head = (self.base + found[:, POSE_SIZE:] @ self.basis.T).unflatten(1, (-1, 3))
            shift = math.sqrt(head.shape[1])
            row_norms = torch.cat([head.norm(dim=1), head.new_full((len(found), 1), shift)], dim=1)
            pose = error[:, :POSE_SIZE].unflatten(1, (3, 4)) * row_norms[:, None]
            scale = found[:, :POSE_SIZE].unflatten(1, (3, 4))[:, :2, :3].norm(dim=2).mean(dim=1)
            coefficients = error[:, POSE_SIZE:] * self.column_norms * scale[:, None]
            moved = torch.cat([pose.flatten(1), coefficients], dim=1)
            moved[:, DEPTH_OFFSET] = 0
            return moved / moved.amax(dim=1, keepdim=True).clamp_min(torch.finfo(moved.dtype).tiny)
