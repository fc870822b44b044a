"""WPDC, the weighted parameter distance cost of 3DDFA (Zhu et al. 2017), and the fast version of 3DDFA_V2 (Guo et al. 2020)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.losses.terms import PosedPoints
from tddfa_ros.training.losses.vdc import DEPTH_OFFSET
from tddfa_ros.types import POSE_SIZE


class Wpdc(nn.Module):
    """Squared error of every whitened parameter, each weighted by how far its error alone moves the mesh.

    The weight of a parameter is how far the points of the predicted face move, as the norm over all points, when this parameter alone is
    made right. ``V = R (u + B a) + t`` is linear in each parameter, so this needs no reconstruction per parameter:

    - R[i, j]: ``|dR[i, j]| * |row j|``, the row of x, y or z coordinates of the head u + B a;
    - t: ``|dt| * sqrt(N)``, but t_z has weight 0 (see :data:`DEPTH_OFFSET`);
    - coefficient k: ``scale * |da[k]| * |B[:, k]|``, the scale of the predicted pose being ``(|r1| + |r2|) / 2``.

    The weights of a face are divided by their largest and carry no gradient: they choose what to learn first, not what is right.

    :meth:`over_mesh` is WPDC: all N vertices. :meth:`over_points` is fWPDC, the version of 3DDFA_V2 that its meta-joint optimisation can
    afford at every step: the norms of the basis do not depend on the face, so they are computed once; those of the head are taken over the
    68 landmarks and a fixed sample of vertices. The common factor of having fewer points cancels in the division, so the weights are
    estimates of WPDC's at a cost that does not depend on the mesh; they leave out neck and scalp, which :class:`PosedPoints` does not sample.
    """

    def __init__(self, base: Tensor, basis: Tensor, std: Tensor) -> None:
        """Args: base (3L,) and basis (3L, S + E), metres, xyz-interleaved; std (P,) of the whitening."""
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
        """WPDC over all vertices of the model."""
        joint = np.concatenate([model.shape_basis, model.expression_basis], axis=2)
        base, basis = model.mean.reshape(-1), joint.reshape(-1, joint.shape[2])
        return cls(torch.from_numpy(base.copy()), torch.from_numpy(basis), std)

    @classmethod
    def over_points(cls, points: PosedPoints, std: Tensor) -> Wpdc:
        """Fast WPDC over the landmarks and sampled vertices of ``points``."""
        return cls(points.base, points.basis, std)

    def forward(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Mean over faces and parameters; ``found`` and ``wanted``: params (n, P), natural units."""
        return (self.weights(found, wanted) * ((found - wanted) / self.std).square()).mean()

    @torch.no_grad()
    def weights(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Weights (n, P), 0..1, the largest of each face 1; 0 throughout where the prediction is perfect."""
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
