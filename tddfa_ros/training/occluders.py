"""Synthetic occlusion of faces: patches, glasses, masks and hands, placed by the landmarks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

_EYES = (slice(36, 42), slice(42, 48))  # iBUG-68
_SKIN = (1, 2, 14, 15, 29, 30)  # cheeks and nose, where skin color is sampled
_SUBPIXEL = 3  # fractional bits of OpenCV's drawing functions


def patch(crop: ImageBGR, points: FloatArray | None, rng: np.random.Generator) -> ImageBGR:
    """Draw a rectangle of one color, of noise, or copied from the crop, at a random position; ``points`` are not used."""
    size = crop.shape[0]
    width, height = rng.integers(size // 8, size // 2, 2)
    x, y = rng.integers(0, size - width), rng.integers(0, size - height)
    out = crop.copy()
    kind = rng.random()
    if kind < 0.4:
        out[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    elif kind < 0.6:
        out[y : y + height, x : x + width] = rng.integers(0, 256, (height, width, 3))
    else:
        u, v = rng.integers(0, size - width), rng.integers(0, size - height)
        out[y : y + height, x : x + width] = crop[v : v + height, u : u + width]
    return out


def glasses(crop: ImageBGR, points: FloatArray, rng: np.random.Generator) -> ImageBGR:
    """Draw glasses with dark, tinted or clear lenses, frame, bridge and temples; points (68, 2) px of the crop."""
    left, right = (points[eye].mean(axis=0).astype(np.float64) for eye in _EYES)
    across = right - left
    reach = max(float(np.linalg.norm(across)), 1.0)
    # height from the nose: in a profile the distance of the eyes is foreshortened
    tall = float(np.linalg.norm(points[27] - points[33])) * rng.uniform(0.55, 0.85)
    wide = reach * rng.uniform(0.7, 0.95)
    power = rng.choice([1.0, 0.6, 0.4])  # ellipse ... nearly a rectangle
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shape = np.sign(unit) * np.abs(unit) ** power / 2 * [wide, tall]
    turn = across / reach
    shape = shape @ np.array([turn, [-turn[1], turn[0]]])
    lenses = [_fixed(shape + center + [0, 0.1 * tall]) for center in (left, right)]

    layer = crop.copy()
    tint = rng.integers(0, 60, 3) if rng.random() < 0.7 else rng.integers(0, 256, 3)
    cv2.fillPoly(layer, lenses, tint.tolist(), cv2.LINE_AA, _SUBPIXEL)
    out = _blend(crop, layer, rng.choice([0.0, 0.5, 0.9, 1.0], p=[0.3, 0.2, 0.25, 0.25]))
    frame = rng.integers(0, 256, 3).tolist()
    thickness = int(rng.integers(1, 4))
    cv2.polylines(out, lenses, True, frame, thickness, cv2.LINE_AA, _SUBPIXEL)
    bridge = [left + across * 0.35, right - across * 0.35]
    temples = [[left - across * 0.4, points[0]], [right + across * 0.4, points[16]]]
    for line in (bridge, *temples):
        cv2.polylines(out, [_fixed(line)], False, frame, thickness, cv2.LINE_AA, _SUBPIXEL)
    return out


def mask(crop: ImageBGR, points: FloatArray, rng: np.random.Generator) -> ImageBGR:
    """Draw a face mask over mouth, chin and a part of the nose, with folds and ear loops; points (68, 2) px of the crop."""
    top = points[rng.integers(28, 31)] + rng.normal(0, 1, 2)
    outline = np.concatenate([points[[2, 3, 4, 6, 8, 10, 12, 13, 14]], top[None]])
    middle = points[33]
    outline = middle + (outline - middle) * rng.uniform(1.0, 1.15)
    color = rng.choice([[235, 235, 230], [200, 160, 120], [40, 40, 40]])
    if rng.random() < 0.4:
        color = rng.integers(0, 256, 3)
    folds = np.linspace(0, rng.uniform(3, 9) * np.pi, crop.shape[0])
    shade = 1 + rng.uniform(0.02, 0.12) * np.sin(folds)[:, None, None]
    # shade the mask as the face below it
    light = cv2.GaussianBlur(crop.max(axis=2), (0, 0), crop.shape[0] / 15).astype(np.float64)
    inside = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(inside, [_fixed(outline)], 255, cv2.LINE_AA, _SUBPIXEL)
    level = np.clip(light / max(float(light[inside > 0].mean() if inside.any() else 1), 1.0), 0, 2)
    cloth = np.clip(np.asarray(color) * shade * (0.4 + 0.6 * level[..., None]), 0, 255)
    out = _blend(crop, cloth.astype(np.uint8), inside[..., None] / 255)
    band = (np.asarray(color) * 0.9).astype(int).tolist()
    for ear, corner in ((0, 3), (16, 13)):
        ends = _fixed(np.stack([points[ear], points[corner]]))
        cv2.polylines(out, [ends], False, band, 1, cv2.LINE_AA, _SUBPIXEL)
    return out


def hand(crop: ImageBGR, points: FloatArray, rng: np.random.Generator) -> ImageBGR:
    """Draw fingers in the color of the face, from outside the crop to a landmark; points (68, 2) px of the crop."""
    size = crop.shape[0]
    inside = np.clip(points[list(_SKIN)], 0, size - 1).astype(int)
    skin = np.median(crop[inside[:, 1], inside[:, 0]], axis=0) * rng.uniform(0.75, 1.2)
    target = points[rng.integers(0, 68)] + rng.normal(0, size / 20, 2)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = size * rng.uniform(0.06, 0.11)
    out = crop.copy()
    for finger in range(int(rng.integers(1, 5))):
        tip = target + across * width * 1.05 * finger - along * rng.uniform(0, 2 * width)
        knuckle = tip - along * size * rng.uniform(0.25, 0.35) + across * rng.normal(0, width / 4)
        line = [_fixed(np.stack([tip, knuckle, knuckle - along * size]))]
        for part, tone in ((1.0, 0.7), (0.8, 0.92), (0.45, 1.05)):
            color = np.clip(skin * tone, 0, 255).astype(int).tolist()
            cv2.polylines(
                out, line, False, color, max(int(width * part), 1), cv2.LINE_AA, _SUBPIXEL
            )
    return out


Occluder = Callable[[ImageBGR, FloatArray, np.random.Generator], ImageBGR]
ON_FACES: tuple[Occluder, ...] = (patch, patch, glasses, mask, hand)
"""Occluders of equal probability."""


def occlude(crop: ImageBGR, points: FloatArray | None, rng: np.random.Generator) -> ImageBGR:
    """Occlude a face with landmarks (68, 2) px of the crop by a random occluder; a crop without a face by a patch."""
    if points is None:
        return patch(crop, None, rng)
    chosen = ON_FACES[int(rng.integers(len(ON_FACES)))]
    return chosen(crop, points, rng)


def _blend(below: ImageBGR, above: ImageBGR, share: float | DoubleArray) -> ImageBGR:
    mixed = below + (above.astype(np.float32) - below) * share
    return np.asarray(np.clip(np.round(mixed), 0, 255), dtype=np.uint8)


def _fixed(points: NDArray[np.floating] | list[NDArray[np.floating]]) -> NDArray[np.int32]:
    """Convert points to the fixed-point numbers of OpenCV's drawing functions."""
    return np.round(np.asarray(points) * 2**_SUBPIXEL).astype(np.int32)
