"""UV position maps: position of the posed surface at every texel of the texture.

A map is (u, u, 3) float32: x, y, z in the crop frame of the pose (y up, x counted from 1; docs/architecture.md), row 0 at v = 1; 0 at texels
outside all triangles. Files: ``.npz`` with the array ``position``, or a 16-bit color ``.png`` with R, G, B = x, y, z, each coded as
``round(STEPS * (value - LOWEST))``, which is exact to 1/256 px between -192 and 319 px, and black at texels outside the surface.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import atomic_path
from tddfa_ros.fitting.fit import PointBasis
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import uv_surface as rendering
from tddfa_ros.training.data.files import read_map, write_image
from tddfa_ros.training.data.layout import ItemError, shown
from tddfa_ros.types import FloatArray

STEPS = 128.0
LOWEST = -192.0
SIDES = (8, 1024)


class UvSurface(rendering.UvSurface):
    """UV surface with the basis of the morphable model at its texels."""

    def basis(self, model: MorphableModel) -> PointBasis:
        """Evaluate the basis of the model at the covered texels, so that a map can be computed from parameters."""
        corners = model.triangles[self.triangles]

        def at(values: FloatArray) -> FloatArray:
            return np.einsum("kc,kc...->k...", self.weights, values[corners]).astype(np.float32)

        return PointBasis(at(model.mean), at(model.shape_basis), at(model.expression_basis))


def uv_surface(model: MorphableModel, size: int) -> UvSurface:
    """Find the surface point of each texel of a map of ``size`` px.

    Raises:
        ConfigError: the size is out of range.
    """
    if not SIDES[0] <= size <= SIDES[1]:
        raise ConfigError(f"a UV map has {SIDES[0]} to {SIDES[1]} px, not {size}")
    surface = rendering.uv_surface(model, size)
    return UvSurface(surface.mask, surface.triangles, surface.weights)


def posed_vertices(model: MorphableModel, params: FloatArray) -> FloatArray:
    """Compute vertices (N, 3) in the crop frame, y up: ``s*R head + t``."""
    pose = params[:12].reshape(3, 4)
    return np.asarray(model.head(params) @ pose[:, :3].T + pose[:, 3], dtype=np.float32)


def write_uv_map(path: Path, position: FloatArray, mask: NDArray[np.bool_]) -> None:
    """Write a map (u, u, 3) as ``.npz`` or ``.png``."""
    if path.suffix == ".npz":
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, position=position.astype(np.float32))
        return
    codes = np.clip(np.rint((position - LOWEST) * STEPS), 1, 65535)
    codes = np.where(mask[..., None], codes, 0).astype(np.uint16)
    write_image(path, np.ascontiguousarray(codes[..., ::-1]))


def read_uv_map(path: Path) -> FloatArray:
    """Read a map (u, u, 3) float32.

    Raises:
        ItemError: the file is damaged, not square, or contains NaN.
    """
    name = shown(path)
    position = _read_npz(path, name) if path.suffix == ".npz" else _read_png(path, name)
    side = len(position)
    if position.shape != (side, side, 3) or not SIDES[0] <= side <= SIDES[1]:
        raise ItemError(f"{name} has the shape {position.shape}, not (u, u, 3)")
    if not np.isfinite(position).all():
        raise ItemError(f"{name} contains NaN or infinity")
    return position.astype(np.float32)


def _read_npz(path: Path, name: str) -> FloatArray:
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["position"])
    except KeyError as error:
        raise ItemError(f"{name} has no array 'position'") from error
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise ItemError(f"{name} is damaged") from error


def _read_png(path: Path, name: str) -> FloatArray:
    codes = read_map(path)
    if codes.dtype != np.uint16 or codes.ndim != 3 or codes.shape[2] != 3:
        raise ItemError(f"{name} is not a color image with 16 bits per channel")
    codes = codes[..., ::-1]
    return np.where(codes > 0, codes / STEPS + LOWEST, 0).astype(np.float32)
