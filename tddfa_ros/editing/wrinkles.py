"""Procedural relief and pigment of old skin on the head's cylindrical map.

Lines are placed relative to the 68 landmarks of the mean head: forehead lines, frown lines, crow's feet, bags under the eyes, nasolabial and
marionette folds, lines around the lips, and rings of the neck. Shapes vary by a fixed random seed; no image of a person is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from tddfa_ros.editing.wrinkle_lines import Line, midlines, sidelines
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import DoubleArray, FloatArray

PER_MM = 4
"""Resolution of the maps, px per mm."""

_RADIUS, _AXIS = 85.0, 75.0  # mm, of the cylinder; its axis behind the origin of the model
_HALF_WIDTH, _LOW, _HIGH = 125.0, -112.0, 128.0  # mm, extent of the maps
_WOBBLE = 0.35  # mm, deviation of a line from its curve
_STEP = 0.15  # mm, between points of a line
_SEED = 20261130


@dataclass(frozen=True, eq=False)
class OldSkin:
    """Maps (h, w) over the cylinder around the head; row 0 is at the top.

    Attributes:
        relief: height of the skin over that of a young adult, mm.
        pigment: density of age spots and mottling, 0..1.
        hollow: shadow of sunken skin under the eyes and beside the mouth, 0..1.
    """

    relief: FloatArray
    pigment: FloatArray
    hollow: FloatArray


def cylindrical(points: FloatArray) -> FloatArray:
    """Project points (k, 3) of the model frame, m, on the cylinder: arc length to the person's left and height, (k, 2) mm."""
    x, y, z = 1000 * points.astype(np.float64).T
    return np.stack([_RADIUS * np.arctan2(x, z + _AXIS), y], axis=1).astype(np.float32)


def map_pixels(places: FloatArray) -> FloatArray:
    """Convert places on the cylinder (..., 2), mm, to pixels of the maps."""
    column = (places[..., 0] + _HALF_WIDTH) * PER_MM - 0.5
    row = (_HIGH - places[..., 1]) * PER_MM - 0.5
    return np.stack([column, row], axis=-1).astype(np.float32)


@lru_cache(maxsize=2)
def old_skin(model: MorphableModel) -> OldSkin:
    """Return the maps of a model, cached."""
    random = np.random.default_rng(_SEED)
    marks = cylindrical(model.landmarks_of(model.mean)).astype(np.float64)
    marks = _symmetric(marks)
    shape = (round((_HIGH - _LOW) * PER_MM), round(2 * _HALF_WIDTH * PER_MM))
    relief = np.zeros(shape, np.float32)
    for line in midlines(marks, random):
        _engrave(relief, line, random)
    for side in (1.0, -1.0):
        for line in sidelines(marks, random):
            _engrave(relief, replace(line, points=line.points * [side, 1]), random)
    relief += _bags(shape, marks) + _crepe(shape, marks, random)
    return OldSkin(relief, _spots(shape, marks, random), _hollows(shape, marks))


_MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
     54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)  # fmt: skip


def _symmetric(marks: DoubleArray) -> DoubleArray:
    return (marks + marks[_MIRROR] * [-1, 1]) / 2


def _engrave(relief: FloatArray, line: Line, random: np.random.Generator) -> None:
    """Cut a groove with raised edges into a map, in place."""
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line.points, axis=0), axis=1))])
    count = max(int(chord[-1] / _STEP), 8)
    along = np.linspace(0, 1, count)
    curve = CubicSpline(chord / chord[-1], line.points, bc_type="natural")
    dense = curve(along)
    tangent = curve(along, 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    left = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    dense += left * _wave(count, 9.0, random)[:, None] * _WOBBLE
    strength = np.sin(np.pi * np.clip(along, 0.0, 1.0)) ** 0.7
    strength *= 1 - line.broken * np.clip(_wave(count, 9.0, random) + 0.1, 0, 1)
    pixels = map_pixels(dense.astype(np.float32)).astype(np.float64)
    reach = (2.2 if line.depth < 0 else 4.5) * line.width * PER_MM
    low = np.maximum(np.floor(pixels.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(pixels.max(axis=0) + reach).astype(int) + 1, relief.shape[::-1])
    if (high <= low).any():
        return
    near = np.ones((high - low)[::-1], np.uint8)
    inner = np.rint(pixels - low).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(near, [inner], False, 0)
    rows, columns = np.nonzero(cv2.distanceTransform(near, cv2.DIST_L2, 5) < reach)
    away, nearest = cKDTree(pixels).query(np.column_stack([columns, rows]) + low)
    q = away / PER_MM
    w = line.width
    groove = np.exp(-((q / w) ** 2))
    if line.depth > 0:  # with raised edges
        groove = groove - 0.4 * np.exp(-((q / (2.2 * w)) ** 2))
    height = -line.depth * groove
    relief[rows + low[1], columns + low[0]] += (strength[nearest] * height).astype(np.float32)


def _wave(count: int, length: float, random: np.random.Generator) -> DoubleArray:
    """Return smooth noise (count,) with unit variance whose waves are some times ``length`` mm long."""
    noise = random.normal(0, 1, (1, count + 400))
    smooth = cv2.GaussianBlur(noise, (0, 0), length / _STEP / 3, borderType=cv2.BORDER_REFLECT)
    wave = np.asarray(smooth).ravel()[200 : 200 + count]
    return np.asarray(wave / max(float(np.std(smooth)), 1e-9), np.float64)


def _add_blob(
    out: FloatArray,
    peak: float,
    middle: DoubleArray,
    radii: tuple[float, float],
    angle: float = 0.0,
    flat: float = 1.0,
) -> None:
    """Add a Gaussian blob to a map (h, w), in place, by the maximum of both.

    Args:
        peak: its height.
        middle: (2,) on the cylinder, mm.
        radii: mm; ``angle``: of the first one from the horizontal, degrees.
        flat: factor before the blob is clipped to its peak.
    """
    column, row = map_pixels(np.asarray(middle, np.float32)).tolist()
    reach = 2.7 * max(radii) * PER_MM
    top, left = max(int(row - reach), 0), max(int(column - reach), 0)
    here = out[top : max(int(row + reach), 0) + 1, left : max(int(column + reach), 0) + 1]
    y, x = np.ogrid[top : top + here.shape[0], left : left + here.shape[1]]
    dx, dy = (x - column) / PER_MM, (row - y) / PER_MM
    turn = np.deg2rad(angle)
    u, v = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
    blob = np.exp(-((u / radii[0]) ** 2) - (v / radii[1]) ** 2)
    np.maximum(here, peak * np.minimum(flat * blob, 1), out=here, casting="unsafe")


def _bags(shape: tuple[int, int], marks: DoubleArray) -> FloatArray:
    """Return the relief of bags under the eyes and of jowls, mm."""
    out = np.zeros(shape, np.float32)
    eye, jowl = (marks[46] + marks[47]) / 2 + [0, -8.0], marks[11] + [-22, 12]
    for side in (1, -1):
        _add_blob(out, 1.1, eye * [side, 1], (13.0, 4.5))
        _add_blob(out, 1.3, jowl * [side, 1], (11.0, 9.0))
    return out


def _hollows(shape: tuple[int, int], marks: DoubleArray) -> FloatArray:
    """Return the shadows of sunken skin, 0..1."""
    out = np.zeros(shape, np.float32)
    eye, mouth = (marks[46] + marks[47]) / 2, marks[54]
    for side in (1, -1):
        _add_blob(out, 0.9, (eye + [-5, -9]) * [side, 1], (13.0, 6.0), side * -18)
        _add_blob(out, 0.5, (mouth + [27, 9]) * [side, 1], (9.0, 18.0), side * 25)
        _add_blob(out, 0.45, (marks[26] + [12, -2]) * [side, 1], (9.0, 14.0))
        _add_blob(out, 0.5, (mouth + [7, -13]) * [side, 1], (4.5, 10.0))
    return out


def _noise(
    shape: tuple[int, int], size: tuple[float, float], random: np.random.Generator
) -> FloatArray:
    """Return smooth noise (h, w), unit variance; sizes of its grains in x and y, mm."""
    raw = random.standard_normal(shape, dtype=np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), size[0] * PER_MM, sigmaY=size[1] * PER_MM)
    return np.asarray(smooth / max(float(smooth.std()), 1e-9), np.float32)


def _crepe(shape: tuple[int, int], marks: DoubleArray, random: np.random.Generator) -> FloatArray:
    """Return fine crosswise relief of loose skin, mm: most under the eyes and on the cheeks."""
    fine = _noise(shape, (0.9, 0.28), random) + 0.7 * _noise(shape, (0.3, 1.0), random)
    where = np.full(shape, 0.25, np.float32)
    for side in (1, -1):
        _add_blob(where, 1.0, (marks[46] + [2, -9]) * [side, 1], (19.0, 10.0))
        _add_blob(where, 0.8, (marks[54] + [30, 12]) * [side, 1], (20.0, 26.0))
    return np.asarray(0.035 * where * fine, np.float32)


def _spots(shape: tuple[int, int], marks: DoubleArray, random: np.random.Generator) -> FloatArray:
    """Return the density of pigment, 0..1: age spots at temples, cheeks and forehead, and mottling."""
    mottling = _noise((shape[0] // 4, shape[1] // 4), (0.55, 0.55), random)
    mottling = np.asarray(cv2.resize(mottling, shape[::-1], interpolation=cv2.INTER_LINEAR))
    out = (0.11 * np.clip(0.5 + 0.5 * mottling, 0, 1)).astype(np.float32)
    for _ in range(46):
        place = np.array([random.uniform(-88, 88), random.uniform(-45, 108)])
        if abs(place[0]) < 30 and place[1] < marks[24, 1] + 8:
            continue
        size, stretch = random.uniform(0.7, 2.4), random.uniform(0.9, 1.5)
        peak, angle = random.uniform(0.25, 0.75), random.uniform(0, 180)
        _add_blob(out, peak, place, (size * stretch, size), angle, flat=1.6)
    return out
