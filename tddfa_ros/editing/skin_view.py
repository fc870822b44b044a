"""The skin of a face in an image: template coordinates, normals and a matte that excludes what is not skin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial import cKDTree

from tddfa_ros.editing.wrinkles import cylindrical
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.rendering.window import box_in_image, scaled
from tddfa_ros.types import FloatArray, ImageBGR

_LONGEST = 480  # px, of the grid on which coordinates are rendered
_GRAZING = (0.12, 0.45)  # cosines between normal and view where the matte begins, and is full
_STEP = 0.06  # of the face size: steps of depth at which one part occludes another
_EYE, _MOUTH, _BROW = (2.0, 4.5), (0.5, 3.0), (-0.5, 2.5)  # mm from the contour: ends of the edge
_NEVER = (
    "left_eye",
    "right_eye",
    "upper_lip",
    "lower_lip",
    "inner_mouth",
    "tongue",
    "left_ear",
    "right_ear",
)
_SURROUND = 14.0  # mm, neighborhood in which colors of skin are compared
_CHROMA, _DARK, _BRIGHT = 7.0, 13.0, 22.0  # Lab: tolerance of skin around its neighborhood's mean
_PALER = 6.0  # Lab, of lightness: highlights this much brighter may differ twice as much in color
_HOLE = 2.2  # mm, half the size of spots that count as skin
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class SkinView:
    """A window of the image with the skin of one face.

    Attributes:
        x, y: left column and top row of the window, image px.
        per_mm: image px per mm.
        places: (h, w, 2) coordinates on the cylinder of :func:`tddfa_ros.editing.wrinkles.cylindrical`, mm.
        normals: (h, w, 3) unit, x right, y up, z toward the viewer.
        seen: (h, w) 0..1, coverage by the visible surface of the head, fading at grazing angles and at the image of openings.
        skin: (h, w) 0..1, the part of ``seen`` that has the color of skin.
        brows: (h, w) 0..1, zone of the brows.
    """

    x: int
    y: int
    per_mm: float
    places: FloatArray
    normals: FloatArray
    seen: FloatArray
    skin: FloatArray
    brows: FloatArray

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the image."""
        rows, columns = self.seen.shape
        return slice(self.y, self.y + rows), slice(self.x, self.x + columns)


@lru_cache(maxsize=2)
def _template(model: MorphableModel) -> FloatArray:
    """Return per vertex (N, 4): place on the cylinder, mm; 0..1 skin; 0..1 zone of the brows."""
    places = cylindrical(model.mean)
    marks = cylindrical(model.landmarks_of(model.mean))
    skin = np.ones(len(places), np.float32)
    for eye in (range(36, 42), range(42, 48)):
        skin *= _edge(_outside(places, marks[list(eye)]), *_EYE)
    skin *= _edge(_outside(places, marks[48:60]), *_MOUTH)
    brows = np.zeros(len(places), np.float32)
    for line in (range(17, 22), range(22, 27)):
        away, _ = cKDTree(_dense(marks[list(line)])).query(places)
        brows = np.maximum(brows, 1 - _edge(away - 5.5, *_BROW))
    nostril = 1 - _near(places, marks[31:36] + np.array([0, -1.5], np.float32), 4.0)
    hidden = in_regions(model, _NEVER)
    skin[hidden] = 0
    front = _edge(100 - np.abs(places[:, 0]), 0, 20)
    return np.column_stack([places, skin * nostril * front, brows * ~hidden]).astype(np.float32)


def _edge(value: FloatArray, low: float, high: float) -> FloatArray:
    x = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _dense(corners: FloatArray, count: int = 60) -> FloatArray:
    at = np.linspace(0, len(corners) - 1, count)
    index = np.arange(len(corners))
    return np.column_stack([np.interp(at, index, corners[:, i]) for i in (0, 1)]).astype(np.float32)


def _near(places: FloatArray, points: FloatArray, radius: float) -> FloatArray:
    away, _ = cKDTree(_dense(points)).query(places)
    return np.asarray(np.exp(-((away / radius) ** 2)), np.float32)


def _outside(places: FloatArray, corners: FloatArray) -> FloatArray:
    """Return the distance (N,) of places to a closed polygon (n, 2); 0 inside."""
    contour = corners.reshape(-1, 1, 2)
    closed = np.concatenate([corners, corners[:1]])
    away, _ = cKDTree(_dense(closed, 240)).query(places)
    for i in np.flatnonzero(away < 40):
        x, y = places[i].tolist()
        if cv2.pointPolygonTest(contour, (x, y), False) > 0:
            away[i] = 0
    return np.asarray(away, np.float32)


def view_skin(image: ImageBGR, face: Face) -> SkinView | None:
    """Find the skin of a face in an image (H, W, 3) uint8 BGR; None if the face is outside it."""
    model, vertices = face.model, np.asarray(face.vertices, np.float32)
    normals = image_normals(vertices, model.triangles)
    template = _template(model)
    used = (template[:, 2] > 0) & (normals[:, 2] > 0)
    if not used.any():
        return None
    x, y, width, height = box_in_image(vertices[used], 3, 4, image.shape)
    if width < 8 or height < 8:
        return None
    scale = min(_LONGEST / max(width, height), 1.0)
    grid = (max(round(height * scale), 1), max(round(width * scale), 1))
    surface = visible_surface(
        scaled(vertices, (x, y), scale), model.triangles, grid, cull_backfaces=True
    )
    values = np.column_stack([template, normals])
    drawn = surface.interpolate(values.astype(np.float32))
    facing = _edge(drawn[..., 6], *_GRAZING) * _continuous(
        surface.depth, _STEP * face.face_size * scale
    )
    drawn = _resized(drawn, surface.mask.astype(np.float32), (width, height))
    resized = cv2.resize(facing, (width, height), interpolation=cv2.INTER_LINEAR)
    seen = np.asarray(np.clip(resized, 0, 1), np.float32)
    per_mm = _per_mm(model, vertices)
    direction = drawn[..., 4:7] / np.maximum(
        np.linalg.norm(drawn[..., 4:7], axis=2, keepdims=True), 1e-6
    )
    allowed = seen * np.clip(drawn[..., 2], 0, 1)
    window = image[y : y + height, x : x + width]
    no_brow = allowed * (1 - np.clip(drawn[..., 3], 0, 1))
    skin = _skin_matte(window, no_brow, allowed.astype(np.float32), per_mm)
    return SkinView(
        x, y, per_mm, np.ascontiguousarray(drawn[..., :2]), direction.astype(np.float32), seen, skin,
        np.asarray(seen * np.clip(drawn[..., 3], 0, 1), np.float32),
    )  # fmt: skip


def _per_mm(model: MorphableModel, vertices: FloatArray) -> float:
    rest = 1000 * (model.mean - model.mean.mean(axis=0))
    return float(
        np.sqrt((vertices - vertices.mean(axis=0)).var(axis=0).sum() / rest.var(axis=0).sum())
    )


def _continuous(depth: FloatArray, step: float) -> FloatArray:
    """Return 1 where the depth is continuous, 0 at steps and at the silhouette, with a soft edge."""
    solid = np.where(np.isfinite(depth), depth, -1e9).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    smooth = (cv2.dilate(solid, kernel) - cv2.erode(solid, kernel) < step).astype(np.float32)
    smooth[~np.isfinite(depth)] = 0
    worn = cv2.erode(smooth, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(worn, (0, 0), 1.2) * worn, np.float32)


def _resized(values: FloatArray, mask: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Resize values that are valid where the mask is 1, without mixing in invalid ones."""
    total = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    planes = [
        cv2.resize(values[..., i] * mask, size, interpolation=cv2.INTER_LINEAR)
        for i in range(values.shape[2])
    ]
    return np.asarray(np.stack(planes, axis=-1) / np.maximum(total, 1e-6)[..., None], np.float32)


def blurred(values: FloatArray, weight: FloatArray, sigma: float) -> FloatArray:
    """Return the weighted mean (h, w[, C]) around each pixel; weight (h, w); sigma in px."""
    weight = np.maximum(weight, 1e-6)
    total = fast_blur(weight, sigma)
    if values.ndim == 3:
        return fast_blur(values * weight[..., None], sigma) / total[..., None]
    return fast_blur(values * weight, sigma) / total


def fast_blur(values: FloatArray, sigma: float) -> FloatArray:
    """Gaussian blur of (h, w[, C]) on a grid that is coarser for a large sigma, px."""
    factor = max(int(sigma / 4), 1)
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), max(sigma, 0.3)), np.float32)
    height, width = values.shape[:2]
    size = (max(width // factor, 1), max(height // factor, 1))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return np.asarray(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def _skin_matte(
    window: ImageBGR, sure: FloatArray, allowed: FloatArray, per_mm: float
) -> FloatArray:
    """Return the part (h, w) of ``allowed`` whose color is that of the skin around it."""
    lab = cv2.cvtColor(window.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2Lab)
    lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), max(0.4 * per_mm, 0.5)), np.float32)
    inside = sure > 0.5
    if inside.sum() < 20:
        return np.zeros_like(allowed)
    middle = np.median(lab[inside], axis=0)
    away = np.linalg.norm((lab - middle) / [25.0, 12.0, 12.0], axis=2)
    trust = np.exp(-(away**2)).astype(np.float32)
    for _ in range(_ROUNDS):
        mean = blurred(
            lab.astype(np.float32, copy=False),
            sure * trust + 1e-4 * np.exp(-away),
            _SURROUND * per_mm,
        )
        difference = lab - mean
        lightness = difference[..., 0]
        light = np.where(lightness < 0, lightness / _DARK, lightness / _BRIGHT)
        # Highlights lose color.
        tolerance = _CHROMA * (1 + np.maximum(lightness, 0) / _PALER)
        chroma = np.linalg.norm(difference[..., 1:], axis=2) / tolerance
        trust = np.exp(-((light**2 + chroma**2) ** 2)).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    side = max(round(_HOLE * per_mm), 1)
    closed = cv2.morphologyEx(
        trust, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * side + 1,) * 2)
    )
    trust = np.where(sure > 0.9, closed, trust)
    trust = cv2.erode(trust, kernel)
    return np.asarray(allowed * cv2.GaussianBlur(trust, (0, 0), max(0.5 * per_mm, 0.6)), np.float32)
