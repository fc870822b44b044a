"""Translation of the camera from image to image, measured on small gray images."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

_LONG_SIDE = 128  # px of the small image
_MIN_CONTRAST = 2.0  # gray levels; less holds no structure to align
_MAX_SHIFT = 0.4  # of the small image's sides; beyond it too little of both images shows the same
_STILL = 1.5  # gray levels; a smaller mean difference is sensor noise and faces that move
_MIN_GAIN = (
    0.8  # the aligned images must differ by less than this ratio of what the unaligned ones do
)


class BackgroundMotion(Protocol):
    """Measures the motion of the background from image to image."""

    def __call__(self, image: ImageBGR) -> DoubleArray:
        """Return the motion (2,) of the background since the last image, image px; zero where it cannot be measured."""

    def reset(self) -> None:
        """Forget the last image."""


class CameraMotion:
    """Measures the translation of the background by phase correlation.

    The result is used only if it makes both images agree better, so that a face that moves before a plain wall is no camera motion.
    """

    def __init__(self) -> None:
        self._previous: FloatArray | None = None
        self._window: FloatArray | None = None

    @property
    def thumbnail(self) -> FloatArray | None:
        """Small gray image (h, w) that the next image is compared with; set it to resume from a stored one."""
        return self._previous

    @thumbnail.setter
    def thumbnail(self, value: FloatArray | None) -> None:
        self._previous = value

    def reset(self) -> None:
        """Forget the last image."""
        self._previous = None

    def __call__(self, image: ImageBGR) -> DoubleArray:
        """Return the motion (2,) of the background since the last image, image px; zero where it cannot be measured."""
        small, before = _thumbnail(image), self._previous
        self._previous = small
        if before is None or before.shape != small.shape:
            return np.zeros(2)
        if min(float(small.std()), float(before.std())) < _MIN_CONTRAST:
            return np.zeros(2)
        height, width = small.shape
        unaligned = _difference(before, small, 0.0, 0.0)
        if unaligned < _STILL:
            return np.zeros(2)
        if self._window is None or self._window.shape != small.shape:
            self._window = np.asarray(
                cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32
            )
        # phaseCorrelate applies the window in place.
        (dx, dy), _ = cv2.phaseCorrelate(before.copy(), small.copy(), self._window)
        if not (abs(dx) < _MAX_SHIFT * width and abs(dy) < _MAX_SHIFT * height):
            return np.zeros(2)
        if _difference(before, small, dx, dy) > _MIN_GAIN * unaligned:
            return np.zeros(2)
        return np.array([dx * image.shape[1] / width, dy * image.shape[0] / height])


def _thumbnail(image: ImageBGR) -> FloatArray:
    # The green channel of every n-th pixel, blurred against aliasing: a tenth of the time of averaging all pixels.
    step = max(1, max(image.shape[:2]) // _LONG_SIDE)
    sample = np.ascontiguousarray(image[::step, ::step, 1])
    return np.asarray(cv2.blur(sample, (3, 3)), np.float32)


def _difference(before: FloatArray, after: FloatArray, dx: float, dy: float) -> float:
    """Mean absolute difference of the parts that both images show, gray levels."""
    height, width = after.shape
    x0, x1 = max(0, int(np.ceil(dx))), min(width, int(np.floor(width + dx)))
    y0, y1 = max(0, int(np.ceil(dy))), min(height, int(np.floor(height + dy)))
    moved = before
    if dx or dy:
        matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
        moved = np.asarray(cv2.warpAffine(before, matrix, (width, height)), np.float32)
    return cv2.norm(moved[y0:y1, x0:x1], after[y0:y1, x0:x1], cv2.NORM_L1) / max(
        (y1 - y0) * (x1 - x0), 1
    )
