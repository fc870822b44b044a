"""Colors of makeup: hexadecimal notation, sRGB, linear light and CIELAB."""

from __future__ import annotations

import re

import cv2
import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.rendering.skin_color import to_lab
from tddfa_ros.types import FloatArray, ImageBGR

_HEX = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
LUMINANCE: FloatArray = np.array([0.0722, 0.7152, 0.2126], np.float32)
"""Weights of linear B, G, R in luminance (IEC 61966-2-1)."""


def parse_color(text: object, where: str = "a color") -> tuple[int, int, int]:
    """Parse ``#rrggbb`` or ``#rgb`` to B, G, R 0..255.

    Raises:
        ConfigError: not a color; ``where`` starts the message.
    """
    match = _HEX.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(
            f"{where} must be written '#rrggbb' (in YAML with the quotes), not {text!r}"
        )
    digits = match.group(1)
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    return blue, green, red


def from_lab(lab: FloatArray) -> FloatArray:
    """Convert CIELAB to sRGB, the inverse of :func:`to_lab`; out-of-gamut colors are clipped."""
    bgr = cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)
    return np.asarray(np.clip(bgr, 0, 1) * np.float32(255), dtype=np.float32)


def lab_of(color: tuple[int, int, int]) -> FloatArray:
    """Convert one B, G, R color to CIELAB (3,)."""
    return to_lab(np.array(color, np.float32).reshape(1, 1, 3))[0, 0]


def to_linear(bgr: ImageBGR) -> FloatArray:
    """Convert sRGB colors (h, w, 3) uint8 to linear light 0..1, float32 (IEC 61966-2-1)."""
    return np.asarray(cv2.LUT(bgr, _LINEAR), dtype=np.float32)


def from_linear(linear: FloatArray) -> ImageBGR:
    """Convert linear light to sRGB uint8, the inverse of :func:`to_linear`; values are clipped to 0..1."""
    value = np.clip(linear, 0, 1)
    bright = np.float32(1.055) * np.power(value, np.float32(1 / 2.4)) - np.float32(0.055)
    encoded = np.where(value <= 0.0031308, np.float32(12.92) * value, bright)
    return np.asarray(np.rint(encoded * np.float32(255)), dtype=np.uint8)


def linear_of_lab(lab: FloatArray) -> FloatArray:
    """Convert CIELAB (..., 3) to linear B, G, R 0..1; out-of-gamut colors are clipped."""
    rgb = cv2.cvtColor(lab.reshape(-1, 1, 3).astype(np.float32), cv2.COLOR_LAB2LRGB)
    return np.asarray(np.clip(rgb, 0, 1)[:, 0, ::-1].reshape(lab.shape), dtype=np.float32)


def _linear_table() -> FloatArray:
    value = np.arange(256) / 255
    bright = ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, value / 12.92, bright).astype(np.float32)


_LINEAR = _linear_table()
