"""Training images of the detector: crops of labeled images and composites of faces over backgrounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.sources.image_data import decode
from tddfa_ros.training.detector.config import DetectorConfig
from tddfa_ros.training.detector.images import ImagePool, transformed
from tddfa_ros.training.detector.labels import MIRRORED_POINTS, box_from_landmarks, five_points
from tddfa_ros.training.detector.paste import FacePaster, pasted_region
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

_LEAST_VISIBLE = 0.4  # share of a box inside the image; below it the face is ignored
_MOST_ENLARGED = 2.0  # of a labeled image
_LEAST_IMAGE = 0.6  # long side of a labeled image in the training image, in sides of the latter
_LARGEST_FACE = 0.85  # of the side of the image
_TRIES = 6
_UNTURNED = np.radians(20)  # boxes without landmarks are ignored beyond this rotation


@dataclass(frozen=True, eq=False)
class Scene:
    """One training image.

    Attributes:
        image: (S, S, 3) uint8 BGR.
        boxes: (n, 4) px, pixel centers at integers.
        points: (n, 5, 2) px; NaN where they are unknown.
        ignore: (n,) True: neither a face nor background.
    """

    image: ImageBGR
    boxes: FloatArray
    points: FloatArray
    ignore: NDArray[np.bool_]


@dataclass(eq=False)
class _Canvas:
    image: ImageBGR
    boxes: list[DoubleArray] = field(default_factory=list)
    points: list[DoubleArray] = field(default_factory=list)
    ignore: list[bool] = field(default_factory=list)

    def add(self, box: DoubleArray, points: DoubleArray, ignore: bool) -> None:
        self.boxes.append(box)
        self.points.append(points)
        self.ignore.append(ignore)

    def add_moved(
        self, box: DoubleArray, landmarks: FloatArray, ignore: bool, matrix: DoubleArray
    ) -> None:
        """Add a face of an image that an affine matrix (2, 3) moves here."""
        if np.isfinite(landmarks).all():
            moved = transformed(landmarks, matrix)
            self.add(box_from_landmarks(moved), five_points(moved), ignore)
            return
        center = transformed((box[:2] + box[2:]) / 2, matrix)
        half = np.hypot(*matrix[:, 0]) * (box[2:] - box[:2]) / 2
        turned = abs(np.arctan2(matrix[1, 0], matrix[0, 0])) > _UNTURNED
        unknown = np.full((5, 2), np.nan)
        self.add(np.concatenate([center - half, center + half]), unknown, ignore or bool(turned))


class SceneMaker:
    """Make training images; the same generator makes the same image.

    Args:
        config: sizes and probabilities.
        paster: faces of the cache.
        rows: rows of the cache that are pasted.
        weights: their probabilities; they sum to 1.
        backgrounds: images without faces; None: plain and noisy areas.
        labeled: labeled images; None: composites only.
    """

    def __init__(
        self,
        config: DetectorConfig,
        paster: FacePaster,
        rows: NDArray[np.int64],
        weights: DoubleArray,
        backgrounds: ImagePool | None,
        labeled: ImagePool | None,
    ) -> None:
        self._config, self._paster, self._rows = config, paster, rows
        self._cumulative = np.cumsum(weights)
        self._backgrounds, self._labeled = backgrounds, labeled
        self._chosen = (
            np.flatnonzero(~labeled.held_out) if labeled is not None else np.zeros(0, int)
        )

    def make(self, rng: np.random.Generator) -> Scene:
        """Make one image."""
        if len(self._chosen) and rng.random() < self._config.labeled_share:
            canvas = self._cut_image(rng)
            pasted = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
        else:
            canvas = _Canvas(self._background(rng))
            most = self._config.most_faces
            pasted = 0 if rng.random() < 0.06 else int(min(rng.geometric(0.35), most))
        for _ in range(pasted):
            self._paste(canvas, pasted, rng)
        return _finished(canvas, self._config, rng)

    def _paste(self, canvas: _Canvas, count: int, rng: np.random.Generator) -> None:
        c = self._config
        largest = _LARGEST_FACE * c.image_size / max(1.0, (count - 1) ** 0.5)
        for _ in range(_TRIES):
            side = float(np.exp(rng.uniform(np.log(c.smallest_face), np.log(largest))))
            center = rng.uniform(-0.1 * side, c.image_size - 1 + 0.1 * side, 2)
            region = pasted_region(center, side)
            own = np.concatenate([center - side / 2, center + side / 2])
            if all(max(_covered(box, region), _covered(own, box)) < 0.2 for box in canvas.boxes):
                break
        else:
            return
        row = int(self._rows[np.searchsorted(self._cumulative, rng.random())])
        roll = self._roll(rng)
        landmarks = self._paster.paste(canvas.image, row, center, side, roll, rng)
        canvas.add(box_from_landmarks(landmarks), five_points(landmarks), False)

    def _roll(self, rng: np.random.Generator) -> float:
        c = self._config
        if rng.random() < c.large_roll:
            return float(np.radians(rng.uniform(-c.large_roll_deg, c.large_roll_deg)))
        return float(np.radians(rng.normal(0, c.roll_sigma_deg)))

    def _background(self, rng: np.random.Generator) -> ImageBGR:
        size = self._config.image_size
        if self._backgrounds is None or rng.random() < 0.08:
            coarse = rng.integers(0, 256, (*rng.integers(1, 9, 2), 3)).astype(np.uint8)
            plain = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
            return np.asarray(plain, np.uint8)
        image = self._backgrounds[int(rng.integers(len(self._backgrounds)))].image
        shorter = min(image.shape[:2])
        side = int(np.exp(rng.uniform(np.log(min(size / 3, shorter)), np.log(shorter + 0.999))))
        x, y = (int(rng.integers(0, extent - side + 1)) for extent in image.shape[1::-1])
        part = image[y : y + side, x : x + side]
        way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, (size, size), interpolation=way), np.uint8)

    def _cut_image(self, rng: np.random.Generator) -> _Canvas:
        c = self._config
        assert self._labeled is not None
        item = self._labeled[int(self._chosen[rng.integers(len(self._chosen))])]
        size = c.image_size
        middle = np.array(item.image.shape[1::-1]) / 2.0
        scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.2)))) * size / (2 * middle.max())
        faces = np.flatnonzero(~item.ignore)
        if len(faces):
            box = item.boxes[faces[rng.integers(len(faces))]].astype(np.float64)
            own = float((box[2:] - box[:2]).mean())
            most = min(_MOST_ENLARGED * own, _LARGEST_FACE * size)
            low = np.log(min(c.smallest_face, most))
            side = float(np.exp(rng.uniform(low, np.log(most))))
            scale = side / own
            middle = (box[:2] + box[2:]) / 2
        scale = max(scale, _LEAST_IMAGE * size / max(item.image.shape[:2]))
        target = rng.uniform(0.1, 0.9, 2) * size
        roll = self._roll(rng) if rng.random() < 0.4 else 0.0
        linear = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        matrix = np.column_stack([linear, target - linear @ middle])
        below = np.zeros((size, size, 3), np.uint8)
        if rng.random() < 0.7:
            below = self._background(rng)
        canvas = _Canvas(_warped(item.image, matrix, scale, below))
        for box, points, ignore in zip(item.boxes, item.landmarks, item.ignore, strict=True):
            canvas.add_moved(box.astype(np.float64), points, bool(ignore), matrix)
        return canvas


def _warped(image: ImageBGR, matrix: DoubleArray, scale: float, below: ImageBGR) -> ImageBGR:
    """Draw an image, transformed by an affine matrix (2, 3) of this scale, onto ``below``."""
    if scale < 0.7:
        shape = [max(2, round(side * scale * 1.25)) for side in image.shape[1::-1]]
        ratio = np.array(image.shape[1::-1]) / shape
        image = np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.uint8)
        # a pixel center u of the reduced image lies at ratio * (u + 0.5) - 0.5
        shift = matrix[:, 2] + matrix[:, :2] @ (ratio - 1) / 2
        matrix = np.column_stack([matrix[:, :2] * ratio, shift])
    out = cv2.warpAffine(
        image,
        matrix,
        below.shape[1::-1],
        dst=below.copy(),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    return np.asarray(out, np.uint8)


def _finished(canvas: _Canvas, config: DetectorConfig, rng: np.random.Generator) -> Scene:
    """Drop faces outside, mark those hardly visible or too small, mirror and degrade the image."""
    size = config.image_size
    boxes = np.array(canvas.boxes, np.float64).reshape(-1, 4)
    points = np.array(canvas.points, np.float64).reshape(-1, 5, 2)
    ignore = np.array(canvas.ignore, np.bool_)
    inside = np.array([_covered(box, np.array([0, 0, size, size])) for box in boxes])
    seen = inside > 0.05 if len(boxes) else np.zeros(0, np.bool_)
    sides = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
    ignore |= (sides < config.smallest_face * 0.85) | (inside < _LEAST_VISIBLE)
    boxes, points, ignore = boxes[seen], points[seen], ignore[seen]
    image = canvas.image
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        boxes = np.stack(
            [size - 1 - boxes[:, 2], boxes[:, 1], size - 1 - boxes[:, 0], boxes[:, 3]], 1
        )
        points = points[:, list(MIRRORED_POINTS)] * [-1, 1] + [size - 1, 0]
    image = _recolored(image, rng)
    if rng.random() < config.degrade:
        image = _degraded(image, rng)
    return Scene(image, boxes.astype(np.float32), points.astype(np.float32), ignore)


def _covered(box: DoubleArray, by: DoubleArray) -> float:
    """Return the share of a box that another one covers."""
    shared = np.clip(np.minimum(box[2:], by[2:]) - np.maximum(box[:2], by[:2]), 0, None).prod()
    return float(shared / max(float((box[2:] - box[:2]).prod()), 1e-9))


def _recolored(image: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Change gain, contrast, brightness and gamma; some images become gray."""
    if rng.random() < 0.08:
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    table = np.clip(255 * ((levels - 0.5) * gain + 0.5 + rng.normal(0, 0.07)), 0, 255)
    return np.asarray(cv2.LUT(image, table.astype(np.uint8).reshape(1, 256, 3)), np.uint8)


def _degraded(image: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Blur, add noise, compress, or reduce the resolution."""
    kind = int(rng.integers(4))
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    if kind == 1:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 12))
        return np.clip(image + noise, 0, 255).astype(np.uint8)
    if kind == 2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        return decode(cv2.imencode(".jpg", image, quality)[1].tobytes(), cv2.IMREAD_COLOR)
    side = int(image.shape[0] * rng.uniform(0.5, 0.9))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8
    )
