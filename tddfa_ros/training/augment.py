"""Augment stored crops: ROI noise, in-plane rotation, mirroring, color, blur, noise, occlusion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.framing import (
    ParamMirror,
    RealLike,
    about_landmarks,
    landmark_pixels,
    reframe,
    reframe_parsing,
)
from tddfa_ros.training.occluders import occlude
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray, ImageBGR

WEAK = 0.25  # share of the ROI noise for weakly augmented crops
# Motion from one frame of a clip to the next, standard deviations: degrees, log of the size, px of 120, gray levels.
MOTION_ROLL_DEG, MOTION_ZOOM, MOTION_SHIFT, MOTION_NOISE = 1.0, 0.01, 0.8, 3.0
_MOTION_BLUR = 0.2  # probability per second frame


class Augment:
    """Callable: (stored image, params, rng) -> (crop (S, S, 3) uint8, params of that crop, parsing of that crop or None).

    A face is first framed by its own landmarks, as tracking and the standard protocols do, then augmented. Parameters that are all 0 mark a
    crop without a face, which is not framed.
    """

    def __init__(
        self,
        config: AugmentConfig,
        model: MorphableModel,
        size: int = int(CROP_FRAME),
    ) -> None:
        self._config = config
        self._model = model
        self._mirror = ParamMirror(model)
        self._size = size

    def __call__(
        self,
        image: ImageBGR,
        params: FloatArray,
        rng: np.random.Generator,
        parsing: NDArray[np.uint8] | None = None,
        motion: np.random.Generator | None = None,
    ) -> tuple[ImageBGR, FloatArray, NDArray[np.uint8] | None]:
        """Return one augmented view.

        Args:
            image: (192, 192, 3) stored crop.
            params: (P,) in the 120-px frame of that crop.
            rng: decides the view.
            parsing: (192, 192) class ids.
            motion: if given, return the next frame of a short video that starts with the view of ``rng`` (3DDFA_V2's
                "short-video-synthesis"): slightly rotated, shifted and scaled, with other noise and sometimes motion blur.
        """
        c = self._config
        is_face = bool(params.any())
        if rng.random() < c.mirror:
            # the stored margin is symmetric, so flipping the image mirrors the crop
            image, params = np.ascontiguousarray(image[:, ::-1]), self._mirror(params)
            parsing = None if parsing is None else np.ascontiguousarray(parsing[:, ::-1])
        large = rng.random() < c.large_roll
        most = c.large_roll_deg
        roll = np.radians(rng.uniform(-most, most) if large else rng.normal(0, c.roll_sigma_deg))
        zoom, shift = self._framing(rng)
        if motion is not None:
            roll += np.radians(motion.normal(0, MOTION_ROLL_DEG))
            zoom *= float(np.exp(motion.normal(0, MOTION_ZOOM)))
            moved = motion.normal(0, MOTION_SHIFT, 2)
            shift = shift + moved
        if is_face:
            zoom, shift = about_landmarks(landmark_pixels(self._model, params), roll, zoom, shift)
        border = _border(rng)
        crop, params = reframe(image, params, roll, zoom, shift, border, self._size)
        if parsing is not None:
            parsing = reframe_parsing(parsing, roll, zoom, shift, self._size)
        points = None
        if is_face:
            points = landmark_pixels(self._model, params) * (self._size / CROP_FRAME)
        crop = self._degrade(crop, points, rng)
        if motion is not None:
            crop = _next_frame(crop, moved, motion)
        return crop, params, parsing

    def _framing(self, rng: np.random.Generator) -> tuple[RealLike, DoubleArray]:
        """Draw zoom and shift (px of 120): noise as of tracking, or with ``p_wide`` a framing as after a jump or of another detector."""
        c = self._config
        kind = rng.random()
        if kind < c.p_wide:
            low, high = np.log(c.wide_scale)
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, c.wide_shift)
            shift = reach * np.array([np.cos(angle), np.sin(angle)])
            return float(np.exp(-rng.uniform(low, high))), shift * CROP_FRAME
        noise = WEAK if kind < c.p_wide + (1 - c.p_wide) * c.p_weak else 1.0
        zoom = float(np.exp(rng.normal(0, c.scale_sigma * noise)))
        return zoom, rng.normal(0, c.shift_sigma * noise, 2) * CROP_FRAME

    def _degrade(
        self, crop: ImageBGR, points: FloatArray | None, rng: np.random.Generator
    ) -> ImageBGR:
        c = self._config
        if rng.random() < c.low_resolution:
            side = int(rng.integers(28, 90))
            small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
            large = cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            crop = np.asarray(large, dtype=np.uint8)
        if rng.random() < c.blur:
            blurred = cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.5, 2.0)))
            crop = np.asarray(blurred, dtype=np.uint8)
        if rng.random() < c.occlude:
            crop = occlude(crop, points, rng)
        if rng.random() < c.color:
            crop = _recolor(crop, rng)
        if rng.random() < c.noise:
            noise = rng.normal(0, rng.uniform(2, 14), crop.shape).astype(np.float32)
            crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
        return crop


def _border(rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Choose the border: black as at run time, None for the repeated edge, or a random color, so that a border is no cue."""
    kind = rng.random()
    if kind < 0.4:
        return (0, 0, 0)
    if kind < 0.7:
        return None
    blue, green, red = (int(v) for v in rng.integers(0, 256, 3))
    return (blue, green, red)


def _next_frame(
    crop: ImageBGR, moved: NDArray[np.float64], motion: np.random.Generator
) -> ImageBGR:
    """Add noise of its own to the second frame of a clip and, sometimes, blur along the motion ``moved`` (2,)."""
    if motion.random() < _MOTION_BLUR:
        kernel = np.zeros((7, 7), np.float32)
        along = moved / max(float(np.linalg.norm(moved)), 1e-6) * motion.uniform(1, 3)
        ends = [tuple(np.round(3 + sign * along).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        crop = np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), dtype=np.uint8)
    noise = motion.normal(0, motion.uniform(0, MOTION_NOISE), crop.shape)
    return np.clip(np.round(crop + noise), 0, 255).astype(np.uint8)


def _recolor(crop: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Change gain per channel, contrast, brightness and gamma by one lookup table per channel; one crop in ten becomes gray."""
    if rng.random() < 0.1:
        gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        crop = np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3))
    table = np.clip(255 * ((levels - 0.5) * gain + 0.5 + rng.normal(0, 0.08)), 0, 255)
    return np.asarray(cv2.LUT(crop, table.astype(np.uint8).reshape(1, 256, 3)), dtype=np.uint8)
