"""Smooth outlines through landmarks: the lips as a closed line, a brow as a stroke that gets thinner."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from tddfa_ros.geometry.rotation import RealArray
from tddfa_ros.types import DoubleArray, FloatArray

_STEPS = 24  # points between two landmarks


def inside_outline(points: FloatArray, corners: RealArray) -> FloatArray:
    """Distance (k,) of points (k, 2) from a closed smooth line through ``corners`` (n, 2), in their unit; negative outside."""
    line = _spline(np.concatenate([corners, corners[:1]]), closed=True)
    away, _ = cKDTree(line).query(points)
    contour = line.astype(np.float32).reshape(-1, 1, 2)
    low, high = line.min(axis=0), line.max(axis=0)
    inside = ((points >= low) & (points <= high)).all(axis=1)
    for i in np.flatnonzero(inside):
        x, y = points[i].tolist()
        inside[i] = cv2.pointPolygonTest(contour, (x, y), False) >= 0
    return np.where(inside, away, -away).astype(np.float32)


def inside_stroke(
    points: FloatArray, middle: FloatArray, half_widths: tuple[float, ...]
) -> FloatArray:
    """Distance (k,) of points (k, 3) from the border of a stroke, negative outside.

    Args:
        middle: (n, 3), a line through its middle. half_widths: n of them.
    """
    line = _spline(np.column_stack([middle, half_widths]), closed=False)
    away, nearest = cKDTree(line[:, :3]).query(points)
    return (line[nearest, 3] - away).astype(np.float32)


def _spline(points: RealArray, closed: bool) -> DoubleArray:
    """Points close together on the curve through points (n, d), its parameter the length of their chords to the power of 1/2.

    Such "centripetal" parameters keep a cubic from forming loops: Yuksel et al., "Parameterization and Applications of Catmull-Rom
    Curves" (Computer-Aided Design 43, 2011).
    """
    points = np.asarray(points, dtype=np.float64)
    chords = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
    at = np.concatenate([[0.0], np.cumsum(chords)])
    curve = CubicSpline(at, points, bc_type="periodic" if closed else "natural")
    return np.asarray(curve(np.linspace(0, at[-1], _STEPS * (len(points) - 1) + 1)))
