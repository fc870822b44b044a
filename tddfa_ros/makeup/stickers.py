"""Stickers: images mapped to the skin through the UV coordinates of the model."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.errors import ConfigError, ImageError, ModelError
from tddfa_ros.makeup.places import Place, find_place, place_names
from tddfa_ros.makeup.preset import UV_SQUARE, Sticker
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.sources.image_file import read_pixels
from tddfa_ros.types import DoubleArray, FloatArray

_PATCH = 0.010  # m around a place, where the scale of the texture coordinates is measured
_LARGEST = 2048  # px
_OUTSIDE = 9.0


@dataclass(frozen=True, eq=False)
class PlacedSticker:
    """A sticker on a model.

    Attributes:
        coordinates: (N, 2) position of each vertex in the sticker: 0..1 from left to right and from top to bottom.
        image: (h, w, 4) float32: B, G, R 0..255 times alpha, and alpha 0..1.
        opacity: 0..1.
    """

    coordinates: FloatArray
    image: FloatArray
    opacity: float

    def sample(self, coordinates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sample colors (h, w, 3) BGR and opacity (h, w) at ``coordinates`` (h, w, 2)."""
        image = self._of_size(coordinates)
        height, width = image.shape[:2]
        x = coordinates[..., 0] * np.float32(width) - np.float32(0.5)
        y = coordinates[..., 1] * np.float32(height) - np.float32(0.5)
        drawn = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        alpha = drawn[..., 3]
        color = drawn[..., :3] / np.maximum(alpha, 1e-3)[..., None]
        return color.astype(np.float32), np.asarray(alpha * self.opacity, dtype=np.float32)

    def _of_size(self, coordinates: FloatArray) -> FloatArray:
        """Return the image downscaled to about the drawn resolution, against aliasing."""
        steps = [np.abs(np.diff(coordinates, axis=axis)).max(axis=2) for axis in (0, 1)]
        inside = (np.abs(coordinates - 0.5) < 0.5).all(axis=2)
        used = np.concatenate([steps[0][inside[1:]], steps[1][inside[:, 1:]]])
        if len(used) == 0:
            return self.image
        wanted = 1 / max(float(np.median(used)), 1e-6)
        shrink = wanted / max(self.image.shape[:2])
        if shrink >= 0.7:
            return self.image
        size = [max(round(side * shrink), 1) for side in self.image.shape[1::-1]]
        return np.asarray(cv2.resize(self.image, size, interpolation=cv2.INTER_AREA), np.float32)


def place_sticker(model: MorphableModel, sticker: Sticker) -> PlacedSticker:
    """Place a sticker on a model.

    Raises:
        ConfigError: the place is unknown. ImageError: the image cannot be read. ModelError: the model has no texture coordinates.
    """
    if len(model.uv) != model.vertex_count:
        raise ModelError(f"{model.name} has no texture coordinates, which stickers need")
    image = read_with_alpha(sticker)
    if sticker.place == UV_SQUARE:
        coordinates = np.stack([model.uv[:, 0], 1 - model.uv[:, 1]], axis=1)
    else:
        height = image.shape[0] / image.shape[1]
        millimeters = _millimeters(model, _place(model, sticker.place), sticker.rotate)
        flip = np.array([1, -1 / height])
        coordinates = 0.5 + millimeters * flip / sticker.size
    return PlacedSticker(coordinates.astype(np.float32), image, float(sticker.opacity))


def read_with_alpha(sticker: Sticker) -> FloatArray:
    """Read the image of a sticker; see :class:`PlacedSticker`.

    Raises:
        ImageError: the image cannot be read.
    """
    read = read_pixels(sticker.image)
    if read.dtype != np.uint8:
        raise ImageError(f"{sticker.image} is not an 8-bit image")
    if max(read.shape[:2]) > _LARGEST:
        raise ImageError(f"{sticker.image} is larger than {_LARGEST} px")
    if read.ndim == 2:
        read = np.asarray(cv2.cvtColor(read, cv2.COLOR_GRAY2BGR))
    image = np.ones((*read.shape[:2], 4), np.float32)
    if read.shape[2] == 4:
        image[..., 3] = read[..., 3] / np.float32(255)
    image[..., :3] = read[..., :3] * image[..., 3:]
    return image


def _place(model: MorphableModel, text: str) -> Place:
    if text in place_names():
        return find_place(model, text)
    try:
        u, v = (float(part) for part in text.split(","))
    except ValueError:
        known = ", ".join((*place_names(), UV_SQUARE))
        raise ConfigError(
            f"the place of a sticker must be a name ({known}) or u,v in the UV square, not '{text}'"
        ) from None
    corners = model.uv[model.triangles].astype(np.float64)
    point = np.broadcast_to(np.array([u, v]), corners[:, 0].shape)
    whole = _area(corners)
    parts = []
    for i in range(3):
        replaced = corners.copy()
        replaced[:, i] = point
        parts.append(_area(replaced))
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack(parts, axis=1) / whole[:, None]
    inside = np.flatnonzero((weights >= -1e-9).all(axis=1))
    if len(inside) == 0:
        raise ConfigError(f"{model.name} has no surface at u,v = {text}")
    return Place(model.triangles[inside[0]], weights[inside[0]].astype(np.float32))


def _area(corners: DoubleArray) -> DoubleArray:
    """Return twice the signed area (t,) of triangles (t, 3, 2)."""
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return np.asarray(ax * by - ay * bx)


def _millimeters(model: MorphableModel, place: Place, rotate: float) -> FloatArray:
    """Return the UV position (N, 2) of each vertex relative to ``place``, right and up, scaled to mm on the skin there.

    Near the place, UV coordinates are an affine function of the position in the tangent plane; its inverse is used everywhere.
    """
    middle, uv = place.on(model.mean), place.on(model.uv)
    near = np.linalg.norm(model.mean - middle, axis=1) < _PATCH
    near &= np.linalg.norm(model.uv - uv, axis=1) < 0.15  # not on another UV island
    a, b, c = model.mean[place.corners]
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    right = np.cross([0, 1, 0], normal)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    up = np.cross(normal, right)
    tangent = (model.mean[near] - middle) @ np.stack([right, up], axis=1)
    design = np.column_stack([tangent, np.ones(len(tangent))])
    solved = np.linalg.lstsq(design, model.uv[near] - uv, rcond=None)[0]
    if np.linalg.matrix_rank(solved[:2]) < 2:
        raise ModelError(f"the texture coordinates of {model.name} have no extent at this place")
    offset = 1000 * ((model.uv - uv) @ np.linalg.inv(solved[:2]))
    angle = np.deg2rad(rotate)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(offset @ turn, dtype=np.float32)
