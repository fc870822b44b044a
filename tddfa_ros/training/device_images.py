"""Image operations of batches on the device: warp, blur, color, occlusion; each row has its own parameters.

Images are (n, 3, S, S) float32, 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad

from tddfa_ros.training.cache import CACHE_SIDE
from tddfa_ros.training.framing import crop_affine
from tddfa_ros.types import DoubleArray, FloatArray

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
    levels = (levels ** per_row(gamma, crops) - 0.5) * factor + 0.5 + per_row(offset, crops)
    return (255 * levels).clamp(0, 255)


def draw_occluders(
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


def occlude(
    crops: Tensor,
    shapes: DoubleArray,
    ellipse: NDArray[np.bool_],
    color: DoubleArray,
    noise: torch.Generator,
) -> Tensor:
    """Draw the occluders of :func:`draw_occluders`."""
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


def per_row(values: DoubleArray, like: Tensor) -> Tensor:
    """Return values (n,) as (n, 1, 1, 1) on the device of ``like``."""
    return torch.from_numpy(values.astype(np.float32)).to(like.device)[:, None, None, None]


def normal_noise(like: Tensor, noise: torch.Generator) -> Tensor:
    """Draw standard normal noise of the shape of ``like``."""
    return torch.randn(like.shape, generator=noise, device=like.device)
