"""Random views of a stored face: ROI noise as tracking makes it, in-plane rotation, mirror, color, blur, noise, occluders."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.training.mirror import ParamMirror
from tddfa_ros.training.occluders import occlude
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray, ImageBGR

_WEAK = 0.25  # of the usual ROI noise
# From one frame of a clip to the next, standard deviations: degrees, logarithm of the size, px of 120, grey levels.
_NEXT_ROLL_DEG, _NEXT_ZOOM, _NEXT_SHIFT, _NEXT_NOISE = 1.0, 0.01, 0.8, 3.0
_MOTION_BLUR = 0.2


class Augment:
    """Callable: (stored image, params, rng) -> (crop (S, S, 3) uint8, params of that crop, parsing of that crop or None).

    A face is framed by its own landmarks, as tracking and the standard protocols frame it, and then augmented; parameters of zeros mean that
    there is no face to frame.
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
        """One view; with ``motion`` the next frame of a short video that begins with this view (3DDFA_V2's "short-video-synthesis"): a little
        turned, moved and enlarged, with other noise, perhaps blurred by its motion."""
        c = self._config
        is_face = bool(params.any())
        if rng.random() < c.mirror:
            # the stored margin is symmetric about the crop, so flipping the picture mirrors the crop
            image, params = np.ascontiguousarray(image[:, ::-1]), self._mirror(params)
            parsing = None if parsing is None else np.ascontiguousarray(parsing[:, ::-1])
        large = rng.random() < c.large_roll
        most = c.large_roll_deg
        roll = np.radians(rng.uniform(-most, most) if large else rng.normal(0, c.roll_sigma_deg))
        zoom, shift = self._framing(rng)
        if motion is not None:
            roll += np.radians(motion.normal(0, _NEXT_ROLL_DEG))
            zoom *= float(np.exp(motion.normal(0, _NEXT_ZOOM)))
            moved = motion.normal(0, _NEXT_SHIFT, 2)
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

    def _framing(self, rng: np.random.Generator) -> tuple[float, DoubleArray]:
        """Magnification and shift, px of 120: mostly what tracking does, in a part of the draws what a jump or another detector does."""
        c = self._config
        kind = rng.random()
        if kind < c.p_wide:
            low, high = np.log(c.wide_scale)
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, c.wide_shift)
            shift = reach * np.array([np.cos(angle), np.sin(angle)])
            return float(np.exp(-rng.uniform(low, high))), shift * CROP_FRAME
        noise = _WEAK if kind < c.p_wide + (1 - c.p_wide) * c.p_weak else 1.0
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
        if rng.random() < c.colour:
            crop = _recolour(crop, rng)
        if rng.random() < c.noise:
            noise = rng.normal(0, rng.uniform(2, 14), crop.shape).astype(np.float32)
            crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
        return crop


def about_landmarks(
    points: FloatArray, roll: float, zoom: float, shift: NDArray[np.float64]
) -> tuple[float, DoubleArray]:
    """Magnification and shift for :func:`reframe` that, but for ``zoom`` and ``shift``, bring the ROI of landmarks to the crop.

    Args:
        points: (L, 2) px of the stored 120-px crop; the ROI is that of the rotated landmarks: their box, sqrt(2) times as wide.
    """
    cos, sin = np.cos(roll), np.sin(roll)
    turned = (points - (CROP_FRAME - 1) / 2) @ np.array([[cos, -sin], [sin, cos]])
    low, high = turned.min(axis=0), turned.max(axis=0)
    zoom = zoom * CROP_FRAME / (float((high - low).max()) * np.sqrt(2))
    return zoom, np.asarray(shift - zoom * (low + high) / 2)


def landmark_frame(model: MorphableModel, params: FloatArray) -> tuple[float, DoubleArray]:
    """Magnification and shift for :func:`reframe` that frame a face by its landmarks, as tracking does; none where there is no face."""
    if not params.any():
        return 1.0, np.zeros(2)
    return about_landmarks(landmark_pixels(model, params), 0.0, 1.0, np.zeros(2))


def landmark_pixels(model: MorphableModel, params: FloatArray) -> FloatArray:
    """The 68 landmarks (68, 2) of a face in px of the 120-px crop."""
    pose = model.layout.split(params)[0]
    return to_crop(model.head_landmarks(params), pose)[..., :2]


def reframe(
    image: ImageBGR,
    params: FloatArray,
    roll: float,
    zoom: float,
    shift: NDArray[np.float64],
    border: tuple[int, int, int] | None = (0, 0, 0),
    size: int = int(CROP_FRAME),
) -> tuple[ImageBGR, FloatArray]:
    """Cut the crop rotated by ``roll`` radians (counter-clockwise in the picture), magnified and shifted (px of 120, x right, y down).

    ``border`` None repeats the edge; ``size`` is the crop's side in px. The pose, always in the frame of 120 px, goes with the picture:
    V' = zoom * Rz(roll) (V - c) + c + shift.
    """
    crop = cv2.warpAffine(
        image,
        _affine(roll, zoom, shift, size),
        (size, size),
        flags=cv2.INTER_AREA if zoom * size < 0.9 * CROP_FRAME else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=border or 0,
    )
    middle = (CROP_FRAME - 1) / 2
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, zoom]])
    # the middle of the crop in V's frame: x = px + 1, y = 120 - py
    centre = np.array([middle + 1, CROP_FRAME - middle, 0.0])
    pose = params[:12].reshape(3, 4).astype(np.float64)
    moved = turn @ pose
    moved[:, 3] += centre - turn @ centre + [shift[0], -shift[1], 0.0]
    out = np.array(params, dtype=np.float32)
    out[:12] = moved.ravel()
    return np.asarray(crop, dtype=np.uint8), out


def reframe_parsing(
    parsing: NDArray[np.uint8], roll: float, zoom: float, shift: NDArray[np.float64], size: int
) -> NDArray[np.uint8]:
    """Class ids (S/4, S/4) under the same view as :func:`reframe`; what lies outside the stored square is to be ignored."""
    warped = cv2.warpAffine(
        parsing,
        _affine(roll, zoom, shift, size),
        (size, size),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE,
    )
    return np.ascontiguousarray(warped[2::4, 2::4])


def _affine(roll: float, zoom: float, shift: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Matrix (2, 3) that takes px of the stored square to px of the crop; pixel centres are at whole numbers.

    A pixel u of the 120-px crop is u * size / 120 of this one, as :func:`tddfa_ros.geometry.roi.crop` cuts it at run time.
    """
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    # px (x right, y down): counter-clockwise means y down turns the other way
    linear = np.array([[cos, sin], [-sin, cos]])
    middle = (CROP_FRAME - 1) / 2
    offset = middle + np.asarray(shift) - linear @ np.full(2, (CACHE_SIDE - 1) / 2)
    return np.asarray(size / CROP_FRAME * np.column_stack([linear, offset]))


def _border(rng: np.random.Generator) -> tuple[int, int, int] | None:
    """What lies outside the picture: black as at run time, the repeated edge, or some colour, so that black frames mean nothing."""
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
    """Noise that the frame before did not have, and sometimes a blur along the way that the face moved."""
    if motion.random() < _MOTION_BLUR:
        kernel = np.zeros((7, 7), np.float32)
        along = moved / max(float(np.linalg.norm(moved)), 1e-6) * motion.uniform(1, 3)
        ends = [tuple(np.round(3 + sign * along).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        crop = np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), dtype=np.uint8)
    noise = motion.normal(0, motion.uniform(0, _NEXT_NOISE), crop.shape)
    return np.clip(np.round(crop + noise), 0, 255).astype(np.uint8)


def _recolour(crop: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Gain per channel, contrast, brightness, gamma, sometimes grey: one look-up table a channel."""
    if rng.random() < 0.1:
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        crop = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3))
    table = np.clip(255 * ((levels - 0.5) * gain + 0.5 + rng.normal(0, 0.08)), 0, 255)
    return np.asarray(cv2.LUT(crop, table.astype(np.uint8).reshape(1, 256, 3)), dtype=np.uint8)
