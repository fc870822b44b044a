"""Appearance of a face crop for short-term re-identification."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray

_GRID = 4  # cells per side
_FACE = 0.7  # of the crop's sides: the box of the landmarks, 1 / sqrt(2); around it is background, which changes when a person walks

COLOR_LAYOUT = 3 * _GRID * _GRID
"""Number of values of a color layout."""

_CONTRAST = 10.0  # lightness is scaled to this standard deviation over the cells
_MIN_CONTRAST = 5.0  # lightness levels; a flatter crop is not stretched further


def color_layout(crops: NDArray[np.uint8]) -> FloatArray:
    """Compute the color layout (n, 48) of crops (n, S, S, 3) BGR: the mean CIELAB color of 4 x 4 cells of the face.

    The lightness has its mean removed and its contrast normalized, so that exposure does not matter. It says more about skin,
    beard and glasses under the same light than about a person, and is no biometric template.
    """
    out = np.zeros((len(crops), _GRID, _GRID, 3), np.float32)
    margin = round((1 - _FACE) / 2 * crops.shape[1])
    inner = slice(margin, crops.shape[1] - margin)
    for cells, crop in zip(out, crops[:, inner, inner], strict=True):
        small = cv2.resize(crop, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
        cells[...] = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    lightness = out[..., 0]
    lightness -= lightness.mean(axis=(1, 2), keepdims=True)
    contrast = np.maximum(lightness.std(axis=(1, 2), keepdims=True), _MIN_CONTRAST)
    lightness *= _CONTRAST / contrast
    return (out / np.float32(_GRID)).reshape(len(crops), COLOR_LAYOUT)
