"""Metric scale of tracked faces from an aligned depth image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.face import Face, TrackedFace, grouped
from tddfa_ros.geometry.scale import HeadScale, scale_from_depth
from tddfa_ros.rendering.visibility import vertex_visibility
from tddfa_ros.types import FloatArray, RealArray

MEMORY = 30
"""Measurements over which the size of a head is averaged."""

REMEMBERED_SIGMA = 0.04
"""Relative standard deviation of the distance by a remembered size: that of the regressed scale of a face."""

_MAX_TRACKS = 100


def measure_scale(face: Face, depth: RealArray) -> HeadScale | None:
    """Fit the scale of a face to a depth image; see :func:`tddfa_ros.geometry.scale.scale_from_depth`.

    The visible vertices within the outline of the landmarks are compared: the model has no hair.

    Args:
        face: a face with intrinsics.
        depth: (h, w) depth along the optical axis, m, aligned to the color image and of its size; 0 or NaN = not measured.

    Returns:
        The scale; None when too little of the face has a depth.
    """
    image = face.coarse_vertices
    outline = cv2.convexHull(face.landmarks68[:, :2].astype(np.float32))
    hull = np.asarray(outline, dtype=np.float64).reshape(-1, 2)
    visible = vertex_visibility(image, face.model.coarse_triangles, depth.shape) > 0.5
    chosen = visible & _inside(image[:, :2], hull)
    points = face.coarse_vertices_metric[chosen] / face.metric_fit.scale
    return scale_from_depth(points, image[chosen, :2], depth)


class DepthScale:
    """Scales tracked faces by depth images.

    The size of a head is constant, so that its mean over a track also scales the face in images without a depth image.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}  # mean factor and number of measurements

    def __call__(self, faces: Sequence[TrackedFace], depth: FloatArray | None) -> list[TrackedFace]:
        """Return the faces of one image with measured scales, where known.

        Args:
            faces: tracked faces.
            depth: (h, w) aligned depth image, m; None = none for this image.
        """
        return grouped([self._scaled(face, depth) for face in faces])

    def _scaled(self, face: TrackedFace, depth: FloatArray | None) -> TrackedFace:
        scale = None if depth is None else measure_scale(face, depth)
        mean, count = self._known.pop(face.id, (0.0, 0))
        if scale is not None:
            count = min(count + 1, MEMORY)
            mean += (scale.factor - mean) / count
        elif count:
            scale = HeadScale(mean, REMEMBERED_SIGMA, measured=True)
        if scale is None:
            return face
        self._known[face.id] = mean, count  # last = most recently seen
        if len(self._known) > _MAX_TRACKS:
            del self._known[next(iter(self._known))]
        return face.replace(scale=scale)


def _inside(points: RealArray, hull: RealArray) -> NDArray[np.bool_]:
    """Return which points (n, 2) lie inside a convex polygon (m, 2) of either orientation."""
    edges = np.roll(hull, -1, axis=0) - hull
    offsets = points[:, None] - hull
    sides = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return np.asarray((sides >= 0).all(axis=1) | (sides <= 0).all(axis=1))
