"""Paste faces of a training cache into an image: scaled, rotated, recolored, feathered."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.roi import BOX_GROWTH, BOX_SHIFT
from tddfa_ros.training.cache import CACHE_SIDE, FaceCache
from tddfa_ros.training.detector.images import transformed
from tddfa_ros.training.detector.labels import box_from_landmarks
from tddfa_ros.training.occluders import glasses, hand, mask, patch
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

_BLACK = 10  # gray levels: darker pixels may be padding
_FEW_PIXELS = 0.03  # share of brighter pixels in a row or column of padding
_OCCLUDERS = (mask, mask, mask, glasses, hand, patch)


class FacePaster:
    """Faces with landmarks that can be pasted.

    Args:
        cache: crops.
        landmarks: (n, 68, 2) px of the 192-px crops.
        occlude: probability of an occluder.
    """

    def __init__(self, cache: FaceCache, landmarks: FloatArray, occlude: float) -> None:
        self._cache, self._landmarks, self._occlude = cache, landmarks, occlude
        self._alphas = _alphas()

    def paste(
        self,
        image: ImageBGR,
        row: int,
        center: DoubleArray,
        mean_side: float,
        roll: float,
        rng: np.random.Generator,
    ) -> DoubleArray:
        """Paste a face into ``image``, in place.

        Args:
            image: (H, W, 3).
            row: of the cache.
            center: (2,) of the box, px.
            mean_side: of the box, px.
            roll: rad, clockwise in the image.
            rng: generator of the augmentation.

        Returns:
            Its landmarks (68, 2), px of the image.
        """
        face = np.asarray(self._cache.images[row])
        points = self._landmarks[row].astype(np.float64)
        alpha = self._alphas[int(rng.integers(len(self._alphas)))]
        if rng.random() < self._occlude:
            chosen = _OCCLUDERS[int(rng.integers(len(_OCCLUDERS)))]
            face = chosen(face, points.astype(np.float32), rng)
        matrix = _placed(points, center, mean_side, roll)
        zoom = float(np.hypot(*matrix[0, :2]))
        stack = np.asarray(cv2.merge([*cv2.split(face), _without_padding(face, alpha)]), np.uint8)
        while zoom < 0.6 and min(stack.shape[:2]) > 12:
            half = [side // 2 for side in stack.shape[1::-1]]
            stack = np.asarray(cv2.resize(stack, half, interpolation=cv2.INTER_AREA), np.uint8)
            # a pixel center u of the half image lies at 2 u + 0.5
            matrix = np.column_stack([2 * matrix[:, :2], matrix[:, 2] + 0.5 * matrix[:, :2].sum(1)])
            zoom *= 2
        stack = _recolored(stack, rng)
        height, width = stack.shape[:2]
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
        reached = transformed(corners, matrix)
        low = np.maximum(np.floor(reached.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(reached.max(axis=0)).astype(int) + 1, image.shape[1::-1])
        if (high > low).all():
            moved = matrix.copy()
            moved[:, 2] -= low
            warped = cv2.warpAffine(stack, moved, (high - low).tolist(), flags=cv2.INTER_LINEAR)
            below = image[low[1] : high[1], low[0] : high[0]]
            share = warped[..., 3:].astype(np.float32) / 255
            mixed = below + (warped[..., :3].astype(np.float32) - below) * share
            below[...] = np.rint(mixed).astype(np.uint8)
        return transformed(points, _placed(points, center, mean_side, roll))


def _placed(points: DoubleArray, center: DoubleArray, mean_side: float, roll: float) -> DoubleArray:
    """Return the affine matrix (2, 3) that moves landmarks (68, 2) so that their box has this center and mean side."""
    cos, sin = np.cos(roll), np.sin(roll)
    turned = points @ np.array([[cos, -sin], [sin, cos]]).T
    box = box_from_landmarks(turned)
    zoom = mean_side / ((box[2:] - box[:2]).mean())
    linear = zoom * np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, center - zoom * (box[:2] + box[2:]) / 2])


def pasted_region(center: DoubleArray, mean_side: float) -> DoubleArray:
    """Return the box (4,) around the head and hair of a face whose box has this center and mean side."""
    reach = 0.62 * BOX_GROWTH * mean_side
    middle = center + [0, BOX_SHIFT * mean_side * 0.3]
    return np.concatenate([middle - reach, middle + reach])


def _alphas() -> list[NDArray[np.uint8]]:
    """Return feathered shapes (192, 192), 0..255: heads of several sizes, and squares that keep the surroundings."""
    rows, columns = np.mgrid[:CACHE_SIDE, :CACHE_SIDE].astype(np.float32)
    middle = (CACHE_SIDE - 1) / 2
    shapes = []
    for width, height, up, soft in (
        (46, 60, 6, 8),
        (52, 66, 8, 6),
        (58, 74, 10, 10),
        (64, 80, 10, 12),
    ):
        radius = np.hypot((columns - middle) / width, (rows - middle + up) / height)
        shapes.append((1 - radius) * min(width, height) / soft + 0.5)
    for half, soft in ((60, 4), (75, 6), (90, 8), (94, 2)):
        far = np.maximum(np.abs(columns - middle), np.abs(rows - middle))
        shapes.append((half - far) / soft + 0.5)
    return [np.rint(255 * np.clip(shape, 0, 1)).astype(np.uint8) for shape in shapes]


def _without_padding(face: ImageBGR, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return alpha (192, 192), 0 on black rows and columns at the borders of a crop."""
    bright = face[::2, ::2].max(axis=2) > _BLACK
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > _FEW_PIXELS) for axis in (1, 0))
    if len(rows) < 2 or len(columns) < 2 or (len(rows) == len(columns) == len(bright)):
        return alpha
    out = np.zeros_like(alpha)
    # interpolation has mixed the outermost pixels with the padding
    inner = np.s_[2 * rows[0] + 2 : 2 * rows[-1], 2 * columns[0] + 2 : 2 * columns[-1]]
    out[inner] = alpha[inner]
    return np.asarray(cv2.blur(out, (5, 5)), np.uint8)


def _recolored(stack: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change gain and brightness of the first three of four channels."""
    gain = np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.05, 3))
    levels = np.arange(256)[:, None] * gain + rng.normal(0, 10)
    table = np.clip(np.column_stack([levels, np.arange(256)]), 0, 255)
    return np.asarray(cv2.LUT(stack, table.astype(np.uint8).reshape(1, 256, 4)), np.uint8)
