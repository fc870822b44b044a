"""Random views of a stored face: ROI noise as tracking makes it, in-plane rotation, mirror, colour, blur, noise, occluders."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.training.cache import MARGIN
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.mirror import ParamMirror
from tddfa_ros.types import CROP_FRAME, FloatArray, ImageBGR


class Augment:
    """Callable: (stored image, params, rng) -> (crop (120, 120, 3) uint8, params of that crop)."""

    def __init__(self, config: AugmentConfig, mirror: ParamMirror) -> None:
        self._config = config
        self._mirror = mirror

    def __call__(
        self, image: ImageBGR, params: FloatArray, rng: np.random.Generator
    ) -> tuple[ImageBGR, FloatArray]:
        c = self._config
        if rng.random() < c.mirror:
            # the stored margin is symmetric about the crop, so flipping the picture mirrors the crop
            image, params = np.ascontiguousarray(image[:, ::-1]), self._mirror(params)
        roll = (
            rng.uniform(-60, 60) if rng.random() < c.large_roll else rng.normal(0, c.roll_sigma_deg)
        )
        zoom = float(np.exp(rng.normal(0, c.scale_sigma)))
        shift = rng.normal(0, c.shift_sigma, 2) * CROP_FRAME
        crop, params = reframe(image, params, np.radians(roll), zoom, shift, _border(rng))
        return self._disturb(crop, rng), params

    def _disturb(self, crop: ImageBGR, rng: np.random.Generator) -> ImageBGR:
        c = self._config
        if rng.random() < c.low_resolution:
            side = int(rng.integers(28, 90))
            small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
            crop = cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        if rng.random() < c.blur:
            crop = cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.5, 2.0)))
        if rng.random() < c.occlude:
            crop = _occlude(crop, rng)
        if rng.random() < c.colour:
            crop = _recolour(crop, rng)
        if rng.random() < c.noise:
            noise = rng.normal(0, rng.uniform(2, 14), crop.shape).astype(np.float32)
            crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
        return crop


def reframe(
    image: ImageBGR,
    params: FloatArray,
    roll: float,
    zoom: float,
    shift: NDArray[np.float64],
    border: tuple[int, int, int] | None = (0, 0, 0),
) -> tuple[ImageBGR, FloatArray]:
    """Cut the 120-px crop rotated by ``roll`` radians (counter-clockwise in the picture), magnified and shifted (px, x right, y down).

    ``border`` None repeats the edge. The pose goes with the picture: V' = zoom * Rz(roll) (V - c) + c + shift.
    """
    size = int(CROP_FRAME)
    middle = (size - 1) / 2
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    # crop px (x right, y down): counter-clockwise means y down turns the other way
    linear = np.array([[cos, sin], [-sin, cos]])
    offset = middle + shift - linear @ (np.full(2, middle + MARGIN))
    crop = cv2.warpAffine(
        image,
        np.column_stack([linear, offset]),
        (size, size),
        flags=cv2.INTER_AREA if zoom < 0.9 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=border or 0,
    )
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, zoom]])
    # the middle of the crop in V's frame: x = px + 1, y = 120 - py
    centre = np.array([middle + 1, CROP_FRAME - middle, 0.0])
    pose = params[:12].reshape(3, 4).astype(np.float64)
    moved = turn @ pose
    moved[:, 3] += centre - turn @ centre + [shift[0], -shift[1], 0.0]
    out = np.array(params, dtype=np.float32)
    out[:12] = moved.ravel()
    return np.asarray(crop, dtype=np.uint8), out


def _border(rng: np.random.Generator) -> tuple[int, int, int] | None:
    """What lies outside the picture: black as at run time, the repeated edge, or some colour, so that black frames mean nothing."""
    kind = rng.random()
    if kind < 0.4:
        return (0, 0, 0)
    if kind < 0.7:
        return None
    blue, green, red = (int(v) for v in rng.integers(0, 256, 3))
    return (blue, green, red)


def _occlude(crop: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Cover part of the face with a patch of noise, a flat colour, or another part of the picture."""
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


def _recolour(crop: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Gain per channel, contrast, brightness, gamma, sometimes grey: one look-up table a channel."""
    if rng.random() < 0.1:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3))
    table = np.clip(255 * ((levels - 0.5) * gain + 0.5 + rng.normal(0, 0.08)), 0, 255)
    return np.asarray(cv2.LUT(crop, table.astype(np.uint8).reshape(1, 256, 3)), dtype=np.uint8)
