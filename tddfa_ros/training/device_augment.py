"""Augment whole batches with PyTorch on the device of the network, so that data loading does not limit a GPU.

Geometry, color, blur, noise and resolution have the distributions of :class:`~tddfa_ros.training.augment.Augment`. Occluders are simpler:
rectangles, and ellipses over both eyes or over mouth and chin.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import (
    MOTION_NOISE,
    MOTION_ROLL_DEG,
    MOTION_SHIFT,
    MOTION_ZOOM,
    WEAK,
)
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.device_images import (
    Views,
    draw_occluders,
    gaussian_blur,
    normal_noise,
    occlude,
    per_row,
    recolor,
    warp,
)
from tddfa_ros.training.framing import (
    ParamMirror,
    about_landmarks,
    landmark_pixels,
    reframe_params,
)
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray

_SIDES = (28, 40, 56, 72, 90)  # px: reduced resolutions


class DeviceAugment:
    """Callable: (images, params, rng) -> (crops (n, 3, S, S) uint8 on the device of the images, params (n, P) float32).

    Random numbers of the geometry and the strengths come from ``rng``, on the CPU; pixel noise comes from a generator of the device that is
    seeded by ``rng``.
    """

    def __init__(
        self, config: AugmentConfig, model: MorphableModel, size: int = int(CROP_FRAME)
    ) -> None:
        self._config, self._model, self._size = config, model, size
        self._mirror = ParamMirror(model)

    def __call__(
        self,
        images: Tensor,
        params: FloatArray,
        rng: np.random.Generator,
        second: NDArray[np.bool_] | None = None,
    ) -> tuple[Tensor, FloatArray]:
        """Augment a batch.

        Args:
            images: (n, 192, 192, 3) uint8 BGR stored crops.
            params: (n, P) in their frame; all 0 without a face.
            rng: decides the views.
            second: (n,) rows that are the second frame of a clip; the row before is the first frame.
        """
        n = len(images)
        source = np.arange(n) - (np.zeros(n, np.int64) if second is None else second)
        views = self.draw(n, rng)
        mirrored = np.where(views.mirror[source, None], self._mirror(params), params)
        mirrored = np.where(params.any(axis=1, keepdims=True), mirrored, params)
        roll, zoom, shift = views.roll[source], views.zoom[source], views.shift[source]
        if second is not None and second.any():
            roll = roll + second * np.radians(rng.normal(0, MOTION_ROLL_DEG, n))
            zoom = zoom * np.exp(second * rng.normal(0, MOTION_ZOOM, n))
            shift = shift + second[:, None] * rng.normal(0, MOTION_SHIFT, (n, 2))
        faces = np.flatnonzero(params.any(axis=1))
        zoom, shift = zoom.copy(), shift.copy()
        if len(faces):
            points = landmark_pixels(self._model, mirrored[faces])
            zoom[faces], shift[faces] = about_landmarks(
                points, roll[faces], zoom[faces], shift[faces]
            )
        framed = Views(views.mirror[source], roll, zoom, shift)
        border = self._borders(n, rng)[source]
        crops = warp(images, framed, border, self._size)
        out = reframe_params(mirrored, roll, zoom, shift)
        noise = torch.Generator(images.device).manual_seed(int(rng.integers(2**62)))
        crops = self._degrade(crops, out, rng, noise, source)
        if second is not None and second.any():
            sigma = rng.uniform(0, MOTION_NOISE, n) * second
            crops = crops + per_row(sigma, crops) * normal_noise(crops, noise)
        return crops.round().clamp(0, 255).to(torch.uint8), out

    def draw(self, n: int, rng: np.random.Generator) -> Views:
        """Draw the geometry of n views, relative to the ROI of the landmarks."""
        c = self._config
        large = rng.random(n) < c.large_roll
        most = c.large_roll_deg
        degrees = np.where(large, rng.uniform(-most, most, n), rng.normal(0, c.roll_sigma_deg, n))
        kind = rng.random(n)
        wide = kind < c.p_wide
        noise = np.where(kind < c.p_wide + (1 - c.p_wide) * c.p_weak, WEAK, 1.0)
        low, high = np.log(c.wide_scale)
        angle, reach = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, c.wide_shift, n)
        far = reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        near = rng.normal(0, 1, (n, 2)) * (c.shift_sigma * noise)[:, None]
        zoom = np.where(wide, -rng.uniform(low, high, n), rng.normal(0, c.scale_sigma, n) * noise)
        shift = np.where(wide[:, None], far, near) * CROP_FRAME
        return Views(rng.random(n) < c.mirror, np.radians(degrees), np.exp(zoom), shift)

    @staticmethod
    def _borders(n: int, rng: np.random.Generator) -> DoubleArray:
        """Return the border colors (n, 3): black, random, or NaN for a repeated edge."""
        kind = rng.random((n, 1))
        colors = rng.integers(0, 256, (n, 3)).astype(np.float64)
        return np.where(kind < 0.4, 0.0, np.where(kind < 0.7, np.nan, colors))

    def _degrade(
        self,
        crops: Tensor,
        params: FloatArray,
        rng: np.random.Generator,
        noise: torch.Generator,
        source: NDArray[np.int64],
    ) -> Tensor:
        """Reduce resolution, blur, occlude, change colors and add noise; rows of equal ``source`` get equal values."""
        c, n = self._config, len(crops)

        def rows(probability: float) -> NDArray[np.int64]:
            return np.flatnonzero((rng.random(n) < probability)[source])

        chosen, sides = rows(c.low_resolution), rng.choice(_SIDES, n)[source]
        for side in _SIDES:
            some = chosen[sides[chosen] == side]
            if len(some):
                small = interpolate(crops[some], size=(side, side), mode="area")
                crops[some] = interpolate(small, size=crops.shape[2:], mode="bilinear")
        chosen, sigma = rows(c.blur), rng.uniform(0.5, 2.0, n)[source]
        if len(chosen):
            crops[chosen] = gaussian_blur(crops[chosen], sigma[chosen])
        chosen = rows(c.occlude)
        if len(chosen):
            points = landmark_pixels(self._model, params[chosen]) * (self._size / CROP_FRAME)
            face = np.asarray(params[chosen].any(axis=1))
            shapes = draw_occluders(points, face, self._size, rng, source[chosen])
            crops[chosen] = occlude(crops[chosen], *shapes, noise)
        chosen = rows(c.color)
        gamma, gray = np.exp(rng.normal(0, 0.25, n))[source], (rng.random(n) < 0.1)[source]
        gain = np.exp(rng.normal(0, 0.2, (n, 1)) + rng.normal(0, 0.08, (n, 3)))[source]
        offset = rng.normal(0, 0.08, n)[source]
        if len(chosen):
            crops[chosen] = recolor(
                crops[chosen], gamma[chosen], gain[chosen], offset[chosen], gray[chosen]
            )
        chosen, sigma = rows(c.noise), rng.uniform(2, 14, n)[source]
        if len(chosen):
            crops[chosen] += per_row(sigma[chosen], crops) * normal_noise(crops[chosen], noise)
        return crops.clamp(0, 255)
