"""Find the irises of a face in its image: center, radius, color, and the direction of the gaze.

A dark disc of known size against a lighter surround, inside the contour of the eye, as in Daugman, "High confidence visual recognition of persons by
a test of statistical independence" (IEEE PAMI 1993), section III, with areas instead of contour integrals, which suits irises of a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.rendering.irises import EYES, IRIS_RADIUS
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, check_image

IRIS_DISTANCE = 0.0103
"""m from the center of rotation of a human eye to the plane of its iris."""

_CORNEA = 0.0027  # m from the plane of the iris to the front of the cornea
_LANDMARKS = {"left_eye": slice(42, 48), "right_eye": slice(36, 42)}
_R = 10  # px, radius of an average iris in the normalized patch
_RADII = (8.5, 9.25, 10.0, 10.75, 11.5)
_ROWS = 26  # px, half height of the patch
_RING = 1.5  # outer radius of the surround, in radii
_SIDES = (
    0.55  # sine of the largest angle of the surround from the horizontal: lids are above and below
)
_WIDER, _HIGHER = 1.15, 3.0  # the eye against its landmarks; px
_VERTICAL = 14.0  # px: irises lie near the middle between the lids
_COVERED = 0.35  # of the disc must lie in the contour
_CONTRAST = (0.15, 0.5)  # score of no and of full confidence
_SMALLEST = (1.5, 3.5)  # px, radius of the iris
_OPEN = (0.35, 0.8)  # height of the eye in radii of the iris


class FaceWithEyes(Protocol):
    """The part of a ``Face`` that is needed here."""

    @property
    def landmarks68(self) -> FloatArray: ...

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def head(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...

    @property
    def image_pose(self) -> Any: ...

    @property
    def yaw_pitch_roll(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Iris:
    """The iris of one eye in an image.

    Attributes:
        center: (2,) px; also the position of the pupil.
        radius: px.
        color: (3,) median BGR 0..255.
        confidence: 0..1, from contrast, size and opening of the eye; 0 = not found, ``center`` is the middle of the eye.
    """

    center: DoubleArray
    radius: float
    color: FloatArray
    confidence: float


def find_irises(image: ImageBGR, face: FaceWithEyes) -> tuple[Iris, Iris]:
    """Find the irises of the person's own left and right eye.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in it.

    Raises:
        ImageError: the image is invalid.
    """
    check_image(image)
    scale = face.image_pose.scale
    turned = max(float(np.cos(np.radians(face.yaw_pitch_roll[0]))), 0.4)
    left, right = (
        _find(image, face.landmarks68[_LANDMARKS[name], :2].astype(np.float64), scale, turned)
        for name in EYES
    )
    return left, right


def iris_color(irises: tuple[Iris, Iris], least: float = 0.3) -> FloatArray | None:
    """Return the BGR color (3,) 0..255 of the iris found with the higher confidence; None below ``least``."""
    best = max(irises, key=lambda iris: iris.confidence)
    return best.color if best.confidence >= least else None


def gaze_direction(
    face: FaceWithEyes, irises: tuple[Iris, Iris], distance: float = IRIS_DISTANCE
) -> tuple[DoubleArray, float]:
    """Return the direction of the gaze, a unit vector (3,) in the camera optical frame (x right, y down, z away), and its confidence 0..1.

    The mean of both eyes, weighted with their confidence: from the center of each eyeball through its iris, under weak perspective.

    Args:
        face: a face whose model has eyeballs.
        irises: of :func:`find_irises`.
        distance: from the center of rotation to the iris, m.

    Without a visible iris the direction is that of the head and the confidence 0.
    """
    pose = face.image_pose
    forward = (pose.rotation @ [0.0, 0.0, 1.0]) * [1, -1, -1]
    total, weight = np.zeros(3), 0.0
    for name, iris in zip(EYES, irises, strict=True):
        inside = in_regions(face.model, (name,))
        if iris.confidence <= 0 or not inside.any():
            continue
        ball = face.head[inside].astype(np.float64)
        eye = face.model.landmarks_of(face.head)[_LANDMARKS[name]].astype(np.float64)
        # The fitted lids are where those of the image are; the eyeballs of the model are larger than real ones.
        center = np.append(eye[:, :2].mean(axis=0), ball[:, 2].max() - distance - _CORNEA)
        # Where the eyeball is in the image: an affine map of its front vertices.
        to_image = np.linalg.lstsq(
            np.hstack([ball, np.ones((len(ball), 1))]),
            face.vertices[inside].astype(float),
            rcond=None,
        )[0]
        place = center @ to_image[:3] + to_image[3]
        x, y = (iris.center - place[:2]) / pose.scale / distance
        flat = min(float(np.hypot(x, y)), 0.98)
        length = max(float(np.hypot(x, y)), 1e-9)
        ray = np.array([x / length * flat, y / length * flat, -np.sqrt(1 - flat**2)])
        total += iris.confidence * ray
        weight += iris.confidence
    if weight == 0:
        return np.asarray(forward, dtype=np.float64), 0.0
    return total / np.linalg.norm(total), min(weight / 2, 1.0)


def _find(image: ImageBGR, eye: DoubleArray, scale: float, turned: float) -> Iris:
    """Find the iris in the eye with landmarks (6, 2), px; ``turned`` is the cosine of the yaw, which narrows the iris."""
    center, corners = eye.mean(axis=0), eye[[0, 3]]
    axis = corners[1] - corners[0]
    width = float(np.linalg.norm(axis))
    radius = IRIS_RADIUS * scale
    nothing = Iris(center, radius, np.zeros(3, np.float32), 0.0)
    if width < 4 or radius < _SMALLEST[0] or not np.isfinite(eye).all():
        return nothing
    if axis[0] < 0:
        axis = -axis
    along = axis / width
    across = np.array([-along[1], along[0]])
    # Columns are narrowed with the head, so that the iris is a circle in the patch.
    units = np.stack([along * radius * turned, across * radius], axis=1) / _R
    columns = int(np.clip(np.ceil(0.5 * _WIDER * width / np.linalg.norm(units[:, 0])), _R, 4 * _R))
    local = np.linalg.solve(units, (eye - center).T).T
    shape = (2 * _ROWS + 1, 2 * columns + 1)
    middle = np.array([columns, _ROWS])
    to_patch = np.column_stack([units, center - units @ middle])
    patch = cv2.warpAffine(
        image, to_patch, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    mask = _eye_mask(local, middle, shape)
    best, size, score = _best_disc(np.asarray(patch[..., 2], np.uint8), mask)
    if score <= 0:
        return nothing
    height = float(np.mean(local[[4, 5], 1] - local[[2, 1], 1])) / _R
    confidence = 1.0
    for value, (low, high) in ((score, _CONTRAST), (radius, _SMALLEST), (height, _OPEN)):
        confidence *= float(np.clip((value - low) / (high - low), 0, 1))
    y, x = np.ogrid[: shape[0], : shape[1]]
    ring = (np.hypot(x - best[0], y - best[1]) < 0.85 * size) & (mask > 0.5)
    color = np.median(patch[ring], axis=0) if ring.any() else np.zeros(3)
    return Iris(
        center + units @ (best - middle), size / _R * radius, color.astype(np.float32), confidence
    )


def _eye_mask(local: DoubleArray, middle: NDArray[np.int64], shape: tuple[int, int]) -> FloatArray:
    """Return the eye, a little wider than its landmarks (6, 2) in patch px, as (h, w) 0..1."""
    wide = local * [_WIDER, 1.0]
    wide[[1, 2], 1] -= _HIGHER
    wide[[4, 5], 1] += _HIGHER
    canvas = np.zeros(shape, np.uint8)
    points = np.rint(16 * (wide + middle)).astype(np.int32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(points), 255, cv2.LINE_AA, 4)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _best_disc(red: NDArray[np.uint8], mask: FloatArray) -> tuple[DoubleArray, float, float]:
    """Return center (2,) x, y, radius and score of the disc that is darkest against its surround, in patch px."""
    # Without highlights, which lie on pupils.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    flat = np.asarray(cv2.morphologyEx(red, cv2.MORPH_OPEN, kernel), np.float32)
    seen = flat[mask > 0.5]
    if seen.size < 20:
        return np.zeros(2), 0.0, 0.0
    low, high = np.percentile(seen, (5, 95))
    span = max(float(high - low), 12.0)
    found = (np.zeros(2), 0.0, 0.0)
    for radius in _RADII:
        disc, ring = _kernels(radius)
        cover, dark = _mean(flat, mask, disc)
        beside, light = _mean(flat, mask, ring)
        score = (light - dark) / span * np.sqrt(np.maximum(cover, 0)) * np.clip(beside / 0.3, 0, 1)
        rows = np.arange(len(score), dtype=np.float32)[:, None] - (len(score) - 1) / 2
        score *= np.exp(-((rows / _VERTICAL) ** 2))
        score[cover < _COVERED] = -1
        score[mask < 0.5] = -1
        row, column = (int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
        if score[row, column] > found[2]:
            place = np.array([_peak(score[row], column), _peak(score[:, column], row)])
            found = (place, radius, float(score[row, column]))
    return found


def _kernels(radius: float) -> tuple[FloatArray, FloatArray]:
    reach = int(np.ceil(_RING * radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    away = np.hypot(x, y)
    disc = np.clip(radius - away + 0.5, 0, 1)
    ring = np.clip(away - radius - 0.5, 0, 1) * (away < _RING * radius)
    ring *= np.abs(y) <= _SIDES * np.maximum(away, 1e-6)
    return disc / disc.sum(), ring / ring.sum()


def _mean(
    values: FloatArray, mask: FloatArray, kernel: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the covered share of a kernel at each place, and the mean of the values in what it covers."""
    share = np.asarray(cv2.filter2D(mask, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.float32)
    total = np.asarray(
        cv2.filter2D(values * mask, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.float32
    )
    return share, (total / np.maximum(share, 1e-4)).astype(np.float32)


def _peak(line: FloatArray, at: int) -> float:
    """Return the place of a maximum between samples, by a parabola."""
    if not 0 < at < len(line) - 1:
        return float(at)
    a, b, c = (float(v) for v in line[at - 1 : at + 2])
    bend = a - 2 * b + c
    return at + (0.5 * (a - c) / bend if bend < 0 and min(a, c) > -1 else 0.0)
