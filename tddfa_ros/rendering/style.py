"""Colors and line widths that all drawings share."""

from __future__ import annotations

import zlib

import numpy as np

from tddfa_ros.types import ImageBGR

SUBPIXEL_DIGITS = 3
"""Binary digits of sub-pixel positions for OpenCV's drawing functions."""

# BGR, chosen to stay apart from each other and from skin.
_TINTS = (
    (235, 190, 90),
    (120, 205, 130),
    (205, 140, 220),
    (90, 190, 245),
    (215, 215, 110),
    (150, 160, 250),
)


def tint_of(face_id: str) -> tuple[int, int, int]:
    """The BGR color of a face: fixed for an id, different for ids that follow each other (f1, f2 ...)."""
    digits = "".join(c for c in face_id if c.isdigit())
    number = int(digits) - 1 if digits else zlib.crc32(face_id.encode())
    return _TINTS[number % len(_TINTS)]


def line_scale(canvas: ImageBGR) -> float:
    """Return the scale of lines and text: 1 at 640x480, growing with the image."""
    return float(np.clip(min(canvas.shape[0] / 480, canvas.shape[1] / 640), 0.75, 4))
