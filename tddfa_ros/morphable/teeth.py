"""Teeth and gums of a morphable head: geometry for drawings and exports, beside the dense mesh of the model.

The dense mesh (and so every message) has no teeth. These two dental arches are placed behind the lips of a head: the upper one is fixed to the skull, the
lower one follows the jaw. Crown widths and heights are rounded averages of adult teeth (Wheeler's Dental Anatomy, 2009, table 1-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

UPPER, LOWER = "upper_teeth", "lower_teeth"
PARTS = (UPPER, LOWER)
"""Names of the parts, in the order of the vertices."""

IVORY = (0.80, 0.88, 0.92)
GUMS = (0.42, 0.42, 0.68)
"""BGR, 0..1."""

# One side, from the middle outward: width along the arch, height of the crown, thickness; mm.
_UPPER = (
    *((8.5, 10.5, 6.0), (6.5, 9.0, 5.5), (7.6, 10.0, 7.0), (7.0, 8.5, 8.5)),
    *((6.8, 8.2, 8.5), (10.0, 7.5, 10.5), (9.6, 7.0, 10.5)),
)
_LOWER = (
    *((5.2, 8.8, 5.5), (5.6, 9.2, 5.8), (6.9, 10.5, 7.0), (7.0, 8.5, 7.5)),
    *((7.1, 8.0, 8.0), (10.8, 7.5, 10.0), (10.4, 7.0, 10.0)),
)
_HALF_WIDTH, _DEPTH = (
    (26.5, 25.0),
    (40.0, 38.0),
)  # mm, of the arches along the outer faces: upper, lower
_EDGE = (-7.0, -3.5)  # mm, of the incisors over the inner edge of the upper lip: upper, lower
_BEHIND = (7.5, 10.5)  # mm, of their faces behind the inner edges of the lips
_GUM_HEIGHT, _GUM_THICKNESS = 7.0, 10.0  # mm
_AROUND, _LEVELS = 14, 7  # points around a tooth, and from the gum line to the edge
_STATIONS = 33
_UPPER_LIP, _LOWER_LIP, _CORNERS = 62, 66, (48, 54)
_CHIN = (6, 7, 8, 9, 10)
_JAW = "jaw"


@dataclass(frozen=True, eq=False)
class Teeth:
    """Both dental arches with gums, on the mean head of a model.

    Attributes:
        vertices: (n, 3) float32 m, model frame.
        triangles: (t, 3) int32, counter-clockwise seen from outside.
        colors: (n, 3) float32 BGR 0..1.
        lower: (n,) bool, the arch of the jaw.
        gums: (n,) bool.
        motion: (n, 3, E) float32 m, displacement of each expression at 1; only those of the jaw move teeth.
    """

    vertices: FloatArray
    triangles: IntArray
    colors: FloatArray
    lower: NDArray[np.bool_]
    gums: NDArray[np.bool_]
    motion: FloatArray

    def part(self, name: str) -> tuple[NDArray[np.intp], IntArray]:
        """Return the vertices (k,) of a part of :data:`PARTS`, and its triangles as indices into these."""
        chosen = self.lower if name == LOWER else ~self.lower
        index = np.flatnonzero(chosen)
        new = np.cumsum(chosen) - 1
        return index, new[self.triangles[chosen[self.triangles[:, 0]]]].astype(np.int32)


@lru_cache(maxsize=4)
def teeth_of(model: MorphableModel) -> Teeth | None:
    """Build the teeth of a model; None for a model without the inside of a mouth, such as a mask."""
    if "inner_mouth" not in model.region_names:
        return None
    landmarks = 1e3 * model.landmarks_of(model.mean).astype(np.float64)
    lip = landmarks[_UPPER_LIP]
    front = float(min(lip[2], landmarks[_LOWER_LIP, 2] + 3.0))
    parts = []
    for lower, widths in enumerate((_UPPER, _LOWER)):
        middle = np.array([0.0, lip[1] + _EDGE[lower], front - _BEHIND[lower]])
        parts.append(_arch(widths, _HALF_WIDTH[lower], _DEPTH[lower], middle, -1 if lower else 1))
    counts = [len(points) for points, _, _ in parts]
    vertices = np.concatenate([points for points, _, _ in parts]) / 1e3
    lower_arch = np.repeat([False, True], counts)
    triangles = np.concatenate([parts[0][1], parts[1][1] + counts[0]])
    colors = np.concatenate([colors for _, _, colors in parts]).astype(np.float32)
    return Teeth(
        vertices.astype(np.float32),
        triangles.astype(np.int32),
        colors,
        lower_arch,
        (colors == np.array(GUMS, np.float32)).all(axis=1),
        _motion(model, vertices, lower_arch),
    )


def place_teeth(model: MorphableModel, teeth: Teeth, neutral: FloatArray) -> FloatArray:
    """Return the teeth (n, 3), m, model frame, of a head with closed jaw.

    Args:
        neutral: (N, 3) the head without expression, m, model frame. The arches are moved and scaled with its lips.
    """
    mean, now = (model.landmarks_of(head).astype(np.float64) for head in (model.mean, neutral))
    lips = [_UPPER_LIP, _LOWER_LIP]
    scale = np.ptp(now[list(_CORNERS), 0]) / np.ptp(mean[list(_CORNERS), 0])
    origin = mean[lips].mean(axis=0)
    placed = (teeth.vertices - origin) * scale + now[lips].mean(axis=0)
    return np.asarray(placed, dtype=np.float32)


def moved_teeth(
    model: MorphableModel, teeth: Teeth, neutral: FloatArray, expression: FloatArray
) -> FloatArray:
    """Return the teeth (n, 3), m, model frame, of a head with expression coefficients (E,); see :func:`place_teeth`."""
    return place_teeth(model, teeth, neutral) + teeth.motion @ np.asarray(expression, np.float32)


def _motion(model: MorphableModel, vertices: DoubleArray, lower: NDArray[np.bool_]) -> FloatArray:
    """Return the displacements (n, 3, E): the rigid motion of the chin, for expressions of the jaw."""
    out = np.zeros((len(vertices), 3, len(model.expression_names)), dtype=np.float32)
    start = model.landmarks_of(model.mean).astype(np.float64)
    for index, name in enumerate(model.expression_names):
        if not name.startswith(_JAW):
            continue
        move = model.expression_basis[:, :, index].astype(np.float32)
        end = start + model.landmarks_of(move)
        # The line of the jaw gives the rotation, the lip in front of the teeth the translation.
        jaw = slice(_CHIN[0] - 2, _CHIN[-1] + 3)
        a, b = start[jaw] - start[jaw].mean(axis=0), end[jaw] - end[jaw].mean(axis=0)
        u, _, vt = np.linalg.svd(a.T @ b)
        turn = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
        pivot, to = start[_LOWER_LIP], end[_LOWER_LIP]
        moved = (vertices[lower] - pivot) @ turn.T + to
        out[lower, :, index] = moved - vertices[lower]
    return out


def _arch(
    sizes: tuple[tuple[float, float, float], ...],
    half_width: float,
    depth: float,
    middle: DoubleArray,
    up: int,
) -> tuple[DoubleArray, IntArray, DoubleArray]:
    """Return vertices, mm, triangles and colors of one arch.

    Args:
        middle: (3,) the edge between the central incisors, mm.
        up: 1 = gums above the teeth, -1 = below.
    """
    angle = np.linspace(0, np.pi / 2, 400)
    curve = np.stack([half_width * np.sin(angle), -depth * (1 - np.cos(angle))], axis=1)
    curve = np.concatenate([curve, curve[-1] + [[0, -10.0], [0, -20.0]]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    vertices, triangles, colors, count = [], [], [], 0
    for side in (1, -1):
        reached = 0.0
        for width, height, thickness in sizes:
            center = reached + width / 2
            reached += width
            x, z = (np.interp(center, length, curve[:, i]) for i in (0, 1))
            ahead = [np.interp(center + 0.5, length, curve[:, i]) for i in (0, 1)]
            along = np.array([ahead[0] - x, ahead[1] - z])
            along /= np.linalg.norm(along)
            local, faces = _tooth(0.97 * width, height, thickness)
            across = np.array([-along[1], along[0]])  # outward
            flat = local[:, :1] * along + local[:, 2:] * across + [x, z]
            points = np.stack([side * flat[:, 0], up * local[:, 1], flat[:, 1]], axis=1)
            vertices.append(points + middle)
            flip = (side * up) < 0
            triangles.append((faces[:, ::-1] if flip else faces) + count)
            neck = np.clip(local[:, 1] / height, 0, 1)[:, None]
            darker = 1 - 0.16 * neck**3 - 0.012 * max(reached - 16, 0)
            colors.append(np.array(IVORY) * darker)
            count += len(points)
    points, faces = _gums(curve, sizes)
    points[:, 1] *= up
    vertices.append(points + middle)
    triangles.append((faces if up > 0 else faces[:, ::-1]) + count)
    colors.append(np.tile(GUMS, (len(points), 1)))
    return np.concatenate(vertices), np.concatenate(triangles), np.concatenate(colors)


def _tooth(width: float, height: float, thickness: float) -> tuple[DoubleArray, IntArray]:
    """Return a crown: x along the arch, y from the edge (0) to the gum line, z outward (face at 0); mm."""
    turn = 2 * np.pi * np.arange(_AROUND) / _AROUND
    cosine, sine = np.cos(turn), np.sin(turn)
    # Superellipses, square with round corners.
    x, z = (np.sign(v) * np.abs(v) ** 0.55 for v in (cosine, sine))
    rings = []
    edge = 0.30 if thickness < 7.5 else 0.75  # incisors are sharp, molars flat
    for share in np.linspace(0, 1, _LEVELS) ** 1.3:
        round_off = 1 - 0.16 * (1 - min(share / 0.18, 1.0)) ** 2
        half = width / 2 * round_off * (1 - 0.14 * share**2)
        deep = thickness / 2 * (edge + (1 - edge) * min(share / 0.8, 1.0))
        face = -0.4 - 0.9 * (1 - share) ** 2
        rings.append(
            np.stack([half * x, np.full(_AROUND, height * share), deep * (z - 1) + face], 1)
        )
    middle = np.array([[0, 0.0, rings[0][:, 2].mean()]])
    points = np.concatenate([*rings, middle])
    i = np.arange(_AROUND)
    j = (i + 1) % _AROUND
    faces = [np.stack([np.full(_AROUND, len(points) - 1), i, j], axis=1)]
    for level in range(_LEVELS - 1):
        a, b = i + level * _AROUND, j + level * _AROUND
        c, d = a + _AROUND, b + _AROUND
        faces += [np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]
    return points, np.concatenate(faces).astype(np.int32)


def _gums(
    curve: DoubleArray, sizes: tuple[tuple[float, float, float], ...]
) -> tuple[DoubleArray, IntArray]:
    """Return the gums of one arch, y up from the edges of the teeth; scalloped around the crowns, mm."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    ends = np.concatenate([[0], np.cumsum([width for width, _, _ in sizes])])
    heights = np.array([height for _, height, _ in sizes])
    place = np.linspace(-ends[-1], ends[-1], 6 * _STATIONS)
    away = np.abs(place)
    tooth = np.clip(np.searchsorted(ends, away, side="right") - 1, 0, len(sizes) - 1)
    inside = (away - ends[tooth]) / (ends[tooth + 1] - ends[tooth])
    line = np.interp(away, (ends[1:] + ends[:-1]) / 2, heights) - 1.4
    line = line - 1.5 * np.abs(2 * inside - 1) ** 3
    x = np.sign(place) * np.interp(away, length, curve[:, 0])
    z = np.interp(away, length, curve[:, 1])
    gradient = np.stack([np.gradient(x), np.gradient(z)], axis=1)
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    outward = np.stack([-gradient[:, 1], gradient[:, 0]], axis=1)
    profile = (  # outward, above the line
        *((-1.2, 0.0), (0.2, 0.3), (0.5, 2.5), (0.2, _GUM_HEIGHT)),
        *((-_GUM_THICKNESS, _GUM_HEIGHT), (-_GUM_THICKNESS, 0.5)),
    )
    rows = [
        np.stack([x + out * outward[:, 0], line + above, z + out * outward[:, 1]], axis=1)
        for out, above in profile
    ]
    count, n = len(place), len(profile)
    i = np.arange(count - 1)
    faces = []
    for level in range(n - 1):
        a, b = i + level * count, i + 1 + level * count
        c, d = a + count, b + count
        faces += [np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)]
    return np.concatenate(rows), np.concatenate(faces).astype(np.int32)
