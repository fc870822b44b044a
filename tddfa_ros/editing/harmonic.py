"""Harmonic extrapolation of a field to unknown pixels: Laplace's equation, coarse to fine."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray

_COARSEST = 8  # px
_SWEEPS = 12  # per level; the coarser level leaves only short waves to smooth
_SOME = 0.25  # share of a coarse cell that must be known
_NEIGHBORS: Any = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def fill_harmonic(values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Fill unknown pixels of ``values`` harmonically, with zero flux across the border.

    Args:
        values: (h, w, c) float32; unknown pixels are ignored.
        known: (h, w) bool.

    Returns:
        (h, w, c) float32; zeros if nothing is known. An approximation by Jacobi sweeps on a cascade of halved grids, with
        errors up to a tenth of the range of the values, 2 % on average.
    """
    height, width = known.shape
    if not known.any():
        return np.zeros_like(values)
    if known.all():
        return values
    share = known.astype(np.float32)
    kept = np.where(known[..., None], values, 0).astype(np.float32)
    if min(height, width) <= _COARSEST:
        start = np.broadcast_to(kept.sum((0, 1)) / share.sum(), values.shape)
        return _relax(start, kept, known, 8 * _SWEEPS)
    size = ((width + 1) // 2, (height + 1) // 2)
    small_share = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
    small = _planes(cv2.resize(kept, size, interpolation=cv2.INTER_AREA), values.shape[2])
    small = (small / np.maximum(small_share, 1e-6)[..., None]).astype(np.float32)
    # A single known pixel must not vanish on the coarse grid.
    threshold = min(_SOME, float(small_share.max()))
    coarse = fill_harmonic(small, small_share >= threshold)
    start = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return _relax(_planes(start, values.shape[2]), kept, known, _SWEEPS)


def _relax(start: Any, kept: FloatArray, known: NDArray[np.bool_], sweeps: int) -> FloatArray:
    field = np.array(start, dtype=np.float32)
    fixed = known[..., None]
    np.copyto(field, kept, where=fixed)
    for _ in range(sweeps):
        smooth = cv2.filter2D(field, -1, _NEIGHBORS, borderType=cv2.BORDER_REPLICATE)
        field = _planes(smooth, kept.shape[2])
        np.copyto(field, kept, where=fixed)
    return field


def _planes(array: Any, count: int) -> FloatArray:
    """Restore the channel axis, which OpenCV drops for one channel."""
    return np.asarray(array, dtype=np.float32).reshape(*array.shape[:2], count)
