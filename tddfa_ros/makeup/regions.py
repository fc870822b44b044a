"""Regions of makeup as fields at the vertices of a model, computed once and interpolated over pixels.

Fields are symmetric. They need the 68 landmarks of the mean head and the regions that are never painted (inside of the mouth, eyeballs), so other
morphable models work too. Lips are bounded by the contour of their landmarks, which is finer than the vertices of a region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import INSIDE_MOUTH, SurfaceModel, in_regions
from tddfa_ros.rendering.skin_color import smoothstep
from tddfa_ros.types import DoubleArray, FloatArray, RealArray

_FAR = 100.0  # mm, where there is no border
_SAMPLES = 9  # points along the border in one triangle


def signed_distance(model: SurfaceModel, inside: NDArray[np.bool_]) -> FloatArray:
    """Return the signed distance (N,), mm on the mean head, of each vertex to the border of ``inside`` (N,); negative outside.

    The border passes through the midpoints of edges between inside and outside. Interpolated over triangles the distance is smooth, so that
    thresholds of it give finer lines than the vertices alone.
    """
    border = _border(model, inside)
    sign = np.where(inside, 1.0, -1.0)
    if len(border) == 0:
        return np.asarray(_FAR * sign, dtype=np.float32)
    away, _ = cKDTree(border).query(1000 * model.mean.astype(np.float64))
    return np.asarray(away * sign, dtype=np.float32)


def _border(model: SurfaceModel, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return dense points (k, 3), mm, on the lines that cut triangles with vertices on both sides."""
    count = inside[model.triangles].sum(axis=1)
    cut = model.triangles[(count == 1) | (count == 2)]
    if len(cut) == 0:
        return np.zeros((0, 3))
    flags = inside[cut]
    # The single corner on one side, and the two others.
    alone = np.where(flags.sum(axis=1) == 1, flags.argmax(axis=1), (~flags).argmax(axis=1))
    rows = np.arange(len(cut))
    a, b, c = (1000 * model.mean[cut[rows, (alone + i) % 3]].astype(np.float64) for i in range(3))
    start, end = (a + b) / 2, (a + c) / 2
    share = np.linspace(0, 1, _SAMPLES)[:, None, None]
    return np.asarray((start + share * (end - start)).reshape(-1, 3))


_STEPS = 24  # points between two landmarks


def inside_outline(points: FloatArray, corners: RealArray) -> FloatArray:
    """Return the signed distance (k,) of points (k, 2) to a closed smooth curve through ``corners`` (n, 2); negative outside."""
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
    """Return the signed distance (k,) of points (k, 3) to the border of a stroke; negative outside.

    Args:
        points: (k, 3).
        middle: (n, 3) center line.
        half_widths: half width at each of the n points.
    """
    line = _spline(np.column_stack([middle, half_widths]), closed=False)
    away, nearest = cKDTree(line[:, :3]).query(points)
    return (line[nearest, 3] - away).astype(np.float32)


def _spline(points: RealArray, closed: bool) -> DoubleArray:
    """Sample a centripetal cubic spline through points (n, d) densely.

    The centripetal parametrization avoids loops: Yuksel et al., "Parameterization and Applications of Catmull-Rom
    Curves" (Computer-Aided Design 43, 2011).
    """
    points = np.asarray(points, dtype=np.float64)
    chords = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
    at = np.concatenate([[0.0], np.cumsum(chords)])
    curve = CubicSpline(at, points, bc_type="periodic" if closed else "natural")
    return np.asarray(curve(np.linspace(0, at[-1], _STEPS * (len(points) - 1) + 1)))


EYES = ("left_eye", "right_eye")
_NEVER = (*INSIDE_MOUTH, *EYES)
_FAR = 100.0

# Landmarks of the two sides: the person's right, then left; each from the outer end inwards.
_LIP_OUTLINE = tuple(range(48, 60))
_LOWER_LIP = np.array([0, 0, 0, 0, 0, 0, 0, 0.8, 1.6, 2.0, 1.6, 0.8], np.float32)
"""Extent of the lower lip below its landmarks, mm: iBUG annotations are inside the lip."""
_UPPER_LIDS = ((36, 37, 38, 39), (45, 44, 43, 42))
_BROW_LINES = ((17, 18, 19, 20, 21), (26, 25, 24, 23, 22))
_JAW_ENDS = (0, 16)
_NOSE_TIP = 30

_BROW_HALF_WIDTHS = (2.2, 3.6, 4.4, 4.8, 4.2)  # mm, along its landmarks, from the outer end
_FRONT = 45.0  # mm; depth behind the eyes up to which vertices are face
_LID_EDGE = (-0.5, 1.0)  # mm above the rim of the lid: where eye shadow begins
_WING = (
    9.0,
    6.0,
)  # mm beyond the outer corner of the eye that shadow reaches, and how far it rises there
_INNER_EDGE = (-5.0, 6.0)  # mm outward of the inner corner
_CHEEK_LENGTHS = (40.0, 24.0)  # mm, of the blush toward the ear and toward the nose
_CHEEK_HEIGHT = 21.0  # mm, across


@dataclass(frozen=True, eq=False)
class FaceFields:
    """Fields at the N vertices of a model.

    Attributes:
        lips: signed distance to the outer lip contour, mm, positive inside.
        mouth: signed distance to the inside of the mouth, mm, positive outside.
        brows: signed distance to the brows, mm, positive inside.
        lids: (N, 2) height above the upper lid margin, mm, and relative to the brow; -1 = undefined.
        lid_sides: 0..1, falling off beyond both corners of the eye.
        cheeks: distance to the center of the blush, 1 = its end.
        paintable: bool, skin without the inside of the mouth and eyeballs.
    """

    lips: FloatArray
    mouth: FloatArray
    brows: FloatArray
    lids: FloatArray
    lid_sides: FloatArray
    cheeks: FloatArray
    paintable: NDArray[np.bool_]

    @property
    def stacked(self) -> FloatArray:
        """Fields (N, 7) in the order of the attributes, without ``paintable``."""
        columns = (self.lips, self.mouth, self.brows, self.lids, self.lid_sides, self.cheeks)
        return np.ascontiguousarray(np.column_stack(columns), dtype=np.float32)


@lru_cache(maxsize=4)
def face_fields(model: MorphableModel) -> FaceFields:
    """Return the fields of a model, cached."""
    inside = in_regions(model, INSIDE_MOUTH)
    points = 1000 * model.mean
    landmarks = 1000 * model.landmarks_of(model.mean)
    front = points[:, 2] > landmarks[[36, 45], 2].min() - _FRONT
    paintable = ~in_regions(model, _NEVER)
    lips, brows, cheeks = np.full((3, len(points)), -_FAR, np.float32)
    cheeks *= -1
    lids = np.full((len(points), 2), -1, np.float32)
    lid_sides = np.zeros(len(points), np.float32)
    outline = landmarks[list(_LIP_OUTLINE), :2] - np.array([[0, 1]]) * _LOWER_LIP[:, None]
    lips[front] = inside_outline(points[front, :2], outline)
    for side in (0, 1):
        own = front & paintable & ((points[:, 0] < 0) if side == 0 else (points[:, 0] >= 0))
        lids[own], lid_sides[own] = _above_lid(points[own], landmarks, side)
        cheeks[own] = _from_cheek(points[own], landmarks, side)
        line = landmarks[list(_BROW_LINES[side])]
        brows[own] = inside_stroke(points[own], line, _BROW_HALF_WIDTHS)
    mouth = -signed_distance(model, inside)
    return FaceFields(lips, mouth, brows, lids, lid_sides, cheeks, paintable)


def _above_lid(
    points: FloatArray, landmarks: FloatArray, side: int
) -> tuple[FloatArray, FloatArray]:
    """Return the height above the upper lid, mm and relative to the brow (k, 2), and the fall-off at the corners (k,), in frontal view."""
    outward = np.abs(points[:, 0])
    lid = landmarks[list(_UPPER_LIDS[side])]
    reach, rise = _WING
    x = np.abs(lid[:, 0])[::-1]
    y = lid[::-1, 1]
    x = np.concatenate([[x[0] - 8], x, [x[-1] + reach, x[-1] + 3 * reach]])
    y = np.concatenate([[y[0] + 2], y, [y[-1] + rise, y[-1] + rise]])
    rim = _smooth_curve(x, y, outward)
    brow = landmarks[list(_BROW_LINES[side])]
    top = np.interp(outward, np.abs(brow[::-1, 0]), brow[::-1, 1])
    height = points[:, 1] - rim
    share = height / np.maximum(top - rim, 6)
    inner, outer = np.abs(lid[-1, 0]), np.abs(lid[0, 0])
    ends = smoothstep(outward, inner + _INNER_EDGE[0], inner + _INNER_EDGE[1])
    ends *= 1 - smoothstep(outward, outer - 2, outer + reach)
    return np.stack([height, share], axis=1).astype(np.float32), ends


def _from_cheek(points: FloatArray, landmarks: FloatArray, side: int) -> FloatArray:
    """Return the distance (k,) to the center of the blush in its half axes, which are longer toward the ear."""
    eye, jaw = landmarks[_UPPER_LIDS[side][0]], landmarks[_JAW_ENDS[side]]
    target = np.array([eye[0], (landmarks[_NOSE_TIP, 1] + eye[1]) / 2 - 11])
    near = points[:, 2] > eye[2] - 30
    seen = np.where(near, np.linalg.norm(points[:, :2] - target, axis=1), np.inf)
    middle = points[seen.argmin()]
    along = (jaw - middle) / np.linalg.norm(jaw - middle)
    offset = points - middle
    lengthwise = offset @ along
    across = np.linalg.norm(offset - lengthwise[:, None] * along, axis=1)
    length = np.where(lengthwise > 0, *_CHEEK_LENGTHS)
    return np.hypot(lengthwise / length, across / _CHEEK_HEIGHT).astype(np.float32)


def _smooth_curve(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """Evaluate a monotone curve through points with increasing x; constant beyond the ends."""
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(x, y)
    return np.asarray(curve(np.clip(at, x[0], x[-1])), dtype=np.float32)
