"""Smooth warp of the mean head that removes systematic residuals of labeled faces at landmarks.

The residual of a landmark has a component along the surface, which :mod:`.slide` corrects, and one normal to it, which no position on the
surface can correct, such as a nose bridge that is too deep. The warp applies the normal component to the mean head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.fitting.fit import PointBasis
from tddfa_ros.model_builder.slide import Seen
from tddfa_ros.types import DoubleArray, IntArray

_KNEE = 2.0  # px: labels have outliers, so the weight of a residual falls beyond
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Warp:
    """A smooth displacement of space.

    It is a sum of compactly supported radial functions (Wendland 1995, C2), smoothed like a ridge regression.

    Attributes:
        places: (k, 3) control points; moves: (k, 3) their displacements, both meters.
        reach: radius of influence of a control point, meters.
        smoothing: 0 interpolates the displacements; larger values average those of neighbors.
    """

    places: DoubleArray
    moves: DoubleArray
    reach: float = 0.03
    smoothing: float = 0.05

    def __call__(self, points: DoubleArray) -> DoubleArray:
        """Return the displacement (n, 3) of ``points`` (n, 3), meters."""
        kernel = self._kernel(self.places) + self.smoothing * np.eye(len(self.places))
        return np.asarray(self._kernel(points) @ np.linalg.solve(kernel, self.moves))

    def undo(self, points: DoubleArray) -> DoubleArray:
        """Invert the warp for ``points`` (n, 3) by fixed-point iteration."""
        before = points
        for _ in range(_ROUNDS):
            before = points - self(before)
        return before

    def _kernel(self, points: DoubleArray) -> DoubleArray:
        distance = np.linalg.norm(points[:, None] - self.places[None], axis=2) / self.reach
        return np.asarray(np.maximum(1 - distance, 0) ** 4 * (4 * distance + 1))


def mean_residuals(seen: Seen, basis: PointBasis, mirror: IntArray) -> DoubleArray:
    """Return the mean residuals of fits at landmarks (L, 3), meters, model frame, over all views.

    The image coordinates of one face do not determine depth; those of faces of many yaw angles do. Robust least squares, left and
    right mirror images. Landmarks without observations get 0.
    """
    pose = seen.params[:, :12].reshape(-1, 3, 4).astype(np.float64)
    heads = basis.mean + np.einsum("lxc,nc->nlx", basis.joint, seen.params[:, 12:], optimize=True)
    found = heads @ pose[:, :2, :3].transpose(0, 2, 1) + pose[:, None, :2, 3]
    residual = seen.points - found
    moves = np.zeros((len(mirror), 3))
    for index in range(len(mirror)):
        rows = seen.weight[:, index] > 0
        if rows.any():
            moves[index] = _robust(
                pose[rows, :2, :3], residual[rows, index], seen.weight[rows, index]
            )
    return np.asarray((moves + moves[mirror] * [-1, 1, 1]) / 2)


def _robust(
    project: DoubleArray, residual: DoubleArray, weight: NDArray[np.floating]
) -> DoubleArray:
    """Solve for the displacement (3,) whose projections (n, 2, 3) match residuals (n, 2), by reweighted least squares."""
    rows, values = project.reshape(-1, 3), residual.reshape(-1)
    given = np.sqrt(np.repeat(weight, 2))
    trust: DoubleArray = np.ones(len(values))
    move: DoubleArray = np.zeros(3)
    for _ in range(_ROUNDS):
        scale = given * trust
        move = np.asarray(
            np.linalg.lstsq(rows * scale[:, None], values * scale, rcond=None)[0], dtype=np.float64
        )
        trust = np.asarray((1 + ((values - rows @ move) / _KNEE) ** 2) ** -0.5, dtype=np.float64)
    return np.asarray(move)
