"""VDC, the vertex distance cost of 3DDFA (Zhu et al. 2017), kept in 3DDFA_V2 (Guo et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from tddfa_ros.training.losses.terms import PosedPoints

DEPTH_OFFSET = 11
"""Index of t_z among the parameters: under weak perspective no picture shows it, so no loss may ask for it."""


def vertex_distance_cost(points: PosedPoints, found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance, px^2, of posed points with the true t_z in place of the predicted one.

    The distance is that of the 68 landmarks and the fixed sample of vertices of ``points``; 3DDFA takes every vertex, which costs a
    product with the whole basis per face and estimates the same mean.

    Args:
        points: of any model and layout.
        found, wanted: params (n, P), natural units.
    """
    level = torch.cat(
        [found[:, :DEPTH_OFFSET], wanted[:, [DEPTH_OFFSET]], found[:, DEPTH_OFFSET + 1 :]], dim=1
    )
    difference: Tensor = points(level) - points(wanted)
    return difference.square().sum(dim=2).mean()
