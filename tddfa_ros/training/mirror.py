"""The parameters of a face seen in a mirror."""

from __future__ import annotations

import numpy as np

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, FloatArray


class ParamMirror:
    """Maps parameters (..., P) to those of the mirror image of the crop.

    Identity components of the default model are symmetric or antisymmetric, so mirroring changes signs; in general it is the least
    squares map of the mirrored basis to the basis. Expressions change places by name (Left <-> Right).
    """

    def __init__(self, model: MorphableModel) -> None:
        partner = _partners(model.mean.astype(np.float64))
        count = model.layout.shape
        mirrored = (model.shape_basis[partner] * np.array([-1, 1, 1], np.float32)[:, None]).reshape(
            -1, count
        )
        basis = model.shape_basis.reshape(-1, count)
        self._shape = np.linalg.lstsq(basis, mirrored, rcond=None)[0].T.astype(np.float32)
        names = list(model.expression_names)
        self._expression = np.array([names.index(_swap(name)) for name in names])

    def __call__(self, params: FloatArray) -> FloatArray:
        out = np.array(params, dtype=np.float32)
        pose = out[..., :POSE_SIZE].reshape(*out.shape[:-1], 3, 4)
        pose[..., 0, 1:] *= -1
        pose[..., 1:, 0] *= -1
        pose[..., 0, 3] += CROP_FRAME + 1  # crop pixel x becomes 119 - x, and V.x is x + 1
        shape = slice(POSE_SIZE, POSE_SIZE + len(self._shape))
        out[..., shape] = out[..., shape] @ self._shape
        out[..., shape.stop :] = out[..., shape.stop :][..., self._expression]
        return out


def _swap(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


def _partners(vertices: FloatArray) -> FloatArray:
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(vertices).query(vertices * [-1, 1, 1])[1])
