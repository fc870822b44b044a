"""Augment whole batches with PyTorch on the device of the network, so that data loading does not limit a GPU.

Geometry, color, blur, noise and resolution have the distributions of :class:`~tddfa_ros.training.augment.Augment`. Occluders are simpler:
rectangles, and ellipses over both eyes or over mouth and chin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate, pad

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import (
    MOTION_NOISE,
    MOTION_ROLL_DEG,
    MOTION_SHIFT,
    MOTION_ZOOM,
    WEAK,
)
from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.config import AugmentConfig
from tddfa_ros.training.framing import (
    ParamMirror,
    about_landmarks,
    crop_affine,
    landmark_pixels,
    reframe_params,
)
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray

_SIDES = (28, 40, 56, 72, 90)  # px: reduced resolutions
_BLUR_RADIUS = 6  # px, three times the largest sigma
_GRAY = (0.114, 0.587, 0.299)  # of B, G, R (ITU-R BT.601)


@dataclass(frozen=True, eq=False)
class Views:
    """Geometry of n views.

    Attributes:
        mirror: (n,) whether the stored crop is flipped first.
        roll: (n,) rad, counterclockwise.
        zoom: (n,) magnification.
        shift: (n, 2) px of 120.
    """

    mirror: NDArray[np.bool_]
    roll: DoubleArray
    zoom: DoubleArray
    shift: DoubleArray


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
            crops = crops + _column(sigma, crops) * _normal(crops, noise)
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
            shapes = _occluders(points, face, self._size, rng, source[chosen])
            crops[chosen] = _occlude(crops[chosen], *shapes, noise)
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
            crops[chosen] += _column(sigma[chosen], crops) * _normal(crops[chosen], noise)
        return crops.clamp(0, 255)


def warp(images: Tensor, views: Views, border: DoubleArray, size: int) -> Tensor:
    """Cut the views from stored crops, as :func:`~tddfa_ros.training.framing.reframe` does.

    Args:
        images: (n, 192, 192, 3) uint8.
        views: n views.
        border: (n, 3) color outside the stored crop; NaN: the edge is repeated.
        size: side of the result, px.

    Returns:
        (n, 3, size, size) float32, 0..255.
    """
    device = images.device
    forward = crop_affine(views.roll, views.zoom, views.shift, size)
    linear = np.linalg.inv(forward[:, :, :2])
    offset = -(linear @ forward[:, :, 2:])[..., 0]
    # px of the stored crop -> [-1, 1], pixel centers at integers; mirroring inverts x
    scale = 2 / (CACHE_SIDE - 1)
    theta = np.concatenate([linear * scale, (offset * scale - 1)[..., None]], axis=2)
    theta[views.mirror, 0] *= -1
    axis = torch.arange(size, dtype=torch.float32, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    grid = pixels @ torch.from_numpy(theta.astype(np.float32)).to(device).transpose(1, 2)[:, None]
    pixels_in = images.permute(0, 3, 1, 2).float()
    color = torch.from_numpy(np.nan_to_num(border).astype(np.float32)).to(device)[..., None, None]
    filled = grid_sample(pixels_in - color, grid, padding_mode="zeros", align_corners=True) + color
    repeated = np.isnan(border).any(axis=1)
    if repeated.any():
        rows = torch.from_numpy(np.flatnonzero(repeated)).to(device)
        filled[rows] = grid_sample(
            pixels_in[rows], grid[rows], padding_mode="border", align_corners=True
        )
    return filled


def gaussian_blur(crops: Tensor, sigma: DoubleArray) -> Tensor:
    """Blur each of n crops (n, 3, S, S) with its own standard deviation (n,), px."""
    n, channels = crops.shape[:2]
    offsets = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = np.repeat(kernel / kernel.sum(axis=1, keepdims=True), channels, axis=0)
    weights = torch.from_numpy(kernel.astype(np.float32)).to(crops.device)[:, None]
    flat = pad(crops, (_BLUR_RADIUS,) * 4, mode="reflect").flatten(0, 1)[None]
    flat = conv2d(flat, weights[:, :, None, :], groups=n * channels)
    flat = conv2d(flat, weights[:, :, :, None], groups=n * channels)
    return flat.reshape(crops.shape)


def recolor(
    crops: Tensor,
    gamma: DoubleArray,
    gain: DoubleArray,
    offset: DoubleArray,
    gray: NDArray[np.bool_],
) -> Tensor:
    """Change gamma (n,), gain (n, 3) about middle gray, and brightness (n,) of crops (n, 3, S, S), 0..255; rows of ``gray`` (n,) lose their color."""
    luma = (crops * crops.new_tensor(_GRAY)[:, None, None]).sum(dim=1, keepdim=True)
    colorless = torch.from_numpy(gray).to(crops.device)[:, None, None, None]
    levels = torch.where(colorless, luma.expand_as(crops), crops).clamp(0, 255) / 255
    factor = torch.from_numpy(gain.astype(np.float32)).to(crops.device)[..., None, None]
    levels = (levels ** _column(gamma, crops) - 0.5) * factor + 0.5 + _column(offset, crops)
    return (255 * levels).clamp(0, 255)


def _occluders(
    points: FloatArray,
    face: NDArray[np.bool_],
    size: int,
    rng: np.random.Generator,
    source: NDArray[np.int64],
) -> tuple[DoubleArray, NDArray[np.bool_], DoubleArray]:
    """Draw one occluder per row: two shapes (n, 2, 4) as center and radii, px; whether they are ellipses; color (n, 3), NaN for noise."""
    n = len(points)
    _, same = np.unique(source, return_index=True)
    first = same[np.searchsorted(source[same], source)]  # both frames of a clip get one occluder
    radii = rng.uniform(size / 16, size / 4, (n, 2))
    centers = rng.uniform(0, size, (n, 2))
    shapes = np.repeat(np.concatenate([centers, radii], axis=1)[:, None], 2, axis=1)[first]
    kind = rng.random(n)[first]
    eyes = np.stack([points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)], axis=1)
    nose = np.linalg.norm(points[:, 27] - points[:, 33], axis=1)
    lens = rng.uniform(0.35, 0.5, n)[first]
    apart = np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)
    glasses = np.concatenate(
        [eyes, np.stack([lens * apart, lens * nose], axis=1)[:, None].repeat(2, axis=1)], axis=2
    )
    low, high = points[:, [3, 8, 13, 33]].min(axis=1), points[:, [3, 8, 13, 33]].max(axis=1)
    mask = np.concatenate([(low + high) / 2, (high - low) / 2 * 1.1], axis=1)
    mask = np.repeat(mask[:, None], 2, axis=1)
    on_eyes, on_mouth = face & (kind > 0.6) & (kind < 0.8), face & (kind >= 0.8)
    shapes = np.where(on_eyes[:, None, None], glasses, shapes)
    shapes = np.where(on_mouth[:, None, None], mask, shapes)
    color = rng.integers(0, 256, (n, 3)).astype(np.float64)[first]
    color[(rng.random(n)[first] < 0.25) & ~on_eyes & ~on_mouth] = np.nan
    return shapes, on_eyes | on_mouth, color


def _occlude(
    crops: Tensor,
    shapes: DoubleArray,
    ellipse: NDArray[np.bool_],
    color: DoubleArray,
    noise: torch.Generator,
) -> Tensor:
    device = crops.device
    axis = torch.arange(crops.shape[-1], dtype=torch.float32, device=device)
    s = torch.from_numpy(shapes.astype(np.float32)).to(device)
    dx = (axis - s[:, :, 0, None]) / s[:, :, 2, None].clamp_min(1)
    dy = (axis - s[:, :, 1, None]) / s[:, :, 3, None].clamp_min(1)
    dx, dy = dx[:, :, None, :], dy[:, :, :, None]
    rounded = torch.from_numpy(ellipse).to(device)[:, None, None, None]
    distance = torch.where(rounded, dx.square() + dy.square(), torch.maximum(dx.abs(), dy.abs()))
    covered = (distance <= 1).any(dim=1, keepdim=True)
    plain = torch.from_numpy(np.nan_to_num(color).astype(np.float32)).to(device)[..., None, None]
    noisy = torch.from_numpy(np.isnan(color).any(axis=1)).to(device)[:, None, None, None]
    random = 255 * torch.rand(crops.shape, generator=noise, device=device)
    return torch.where(covered, torch.where(noisy, random, plain), crops)


def _column(values: DoubleArray, like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device)[:, None, None, None]


def _normal(like: Tensor, noise: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=noise, device=like.device)
