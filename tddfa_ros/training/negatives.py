"""Negatives for the confidence head: background, ROIs that are far off, far too small or far too large.

Positives are faces with ROI noise. Crops in between (a face off by a quarter of its width) are in neither class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.sources.image_file import read_pixels
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.data.layout import IMAGE_SUFFIXES
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray, ImageBGR

_LARGEST = 1400  # px: larger images are reduced first
_KINDS = {"background": 0.42, "shifted": 0.33, "too close": 0.1, "too far": 0.15}
_MIN_CONTRAST = 10.0  # standard deviation of gray levels; crops without contrast are rejected before the network


class Negatives:
    """Generate crops without a face, in the format of the training cache.

    Args:
        backgrounds: images without faces.
        faces: (path, ROI (4,) px) of faces, for wrongly placed ROIs.

    Raises:
        ConfigError: one of the two is empty.
    """

    def __init__(
        self, backgrounds: Sequence[Path], faces: Sequence[tuple[str, FloatArray]]
    ) -> None:
        if not backgrounds or not faces:
            raise ConfigError("negatives need background images and faces")
        self._backgrounds, self._faces = backgrounds, faces

    def draw(self, rng: np.random.Generator) -> ImageBGR:
        """Generate one crop (192, 192, 3)."""
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        if kind == "background":
            return self._background(rng)
        path, roi = self._faces[int(rng.integers(len(self._faces)))]
        read = _read(Path(path))
        if read is None:
            return self._background(rng)
        face, scale = read
        width = scale * float(roi[2] - roi[0])
        center = scale * (roi[:2] + roi[2:]).astype(np.float64) / 2
        if kind == "shifted":
            angle = rng.uniform(0, 2 * np.pi)
            # at least about half a width along x or y, in any direction
            reach = rng.uniform(0.48, 1.0) / max(abs(np.cos(angle)), abs(np.sin(angle)))
            move = width * reach * np.array([np.cos(angle), np.sin(angle)])
            return _square(face, center + move, width * rng.uniform(0.8, 1.2), rng)
        if kind == "too close":
            middle = center + width * rng.uniform(-0.35, 0.35, 2)
            return _square(face, middle, width * rng.uniform(0.1, 0.3), rng)
        return self._small_face(face, rng)

    def _background(self, rng: np.random.Generator) -> ImageBGR:
        for _ in range(20):
            read = _read(self._backgrounds[int(rng.integers(len(self._backgrounds)))])
            if read is None:
                continue
            image = read[0]
            shorter = min(image.shape[:2])
            side = np.exp(rng.uniform(np.log(min(40, shorter)), np.log(shorter + 1)))
            place = [rng.uniform(0, max(extent - side, 1)) for extent in image.shape[1::-1]]
            crop = _square(image, np.array(place) + side / 2, float(side), rng)
            if crop.std() > _MIN_CONTRAST:
                break
        else:
            return np.asarray(rng.integers(0, 256, (CACHE_SIDE, CACHE_SIDE, 3)), dtype=np.uint8)
        return crop

    def _small_face(self, face: ImageBGR, rng: np.random.Generator) -> ImageBGR:
        """Paste a whole head, far too small for the ROI, into a background."""
        crop = self._background(rng).copy()
        side = int(rng.uniform(0.25, 0.5) * CACHE_SIDE)
        x, y = rng.integers(0, CACHE_SIDE - side, 2)
        crop[y : y + side, x : x + side] = cv2.resize(
            face, (side, side), interpolation=cv2.INTER_AREA
        )
        return crop


def find_images(folder: Path) -> list[Path]:
    """Return all image files below ``folder``, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)


def _read(path: Path) -> tuple[ImageBGR, float] | None:
    """Read an image, reduced if it is large, and its scale; None if it is not readable or too small."""
    try:
        image = read_pixels(path)
    except ImageError:
        return None
    if min(image.shape[:2]) < 24 or image.dtype != np.uint8:
        return None
    if image.ndim == 2:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    elif image.shape[2] == 4:  # transparent: fill with the complement of the mean color
        share = image[..., 3:].astype(np.float32) / 255
        mean = (image[..., :3] * share).sum(axis=(0, 1)) / max(float(share.sum()), 1.0)
        image = (image[..., :3] * share + (255 - mean) * (1 - share)).astype(np.uint8)
    scale = min(1.0, _LARGEST / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(image, dtype=np.uint8), scale


def _square(
    image: ImageBGR, center: DoubleArray, side: float, rng: np.random.Generator
) -> ImageBGR:
    """Cut the square around ``center`` whose central 120 px are ``side`` px of the image."""
    scale = side / CROP_FRAME
    start = np.asarray(center) - scale * (CACHE_SIDE - 1) / 2
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    border = cv2.BORDER_REFLECT_101 if rng.random() < 0.6 else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (CACHE_SIDE, CACHE_SIDE),
            flags=(cv2.INTER_LINEAR if scale < 1.5 else cv2.INTER_AREA) | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        ),
        dtype=np.uint8,
    )
