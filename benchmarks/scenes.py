"""Benchmark images: the public-domain portrait of scikit-image, once or several times in one frame."""

from __future__ import annotations

import cv2
import numpy as np

_HEAD = (0, 200, 125, 325)
_GRIDS = ((3, 1), (3, 2), (5, 4))  # columns, rows


def portrait() -> np.ndarray:
    """Return the portrait, (512, 512, 3) uint8 BGR.

    Raises:
        ImportError: scikit-image is not installed.
    """
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def scene(faces: int, width: int = 640, height: int = 480) -> np.ndarray:
    """Return a frame with 1 to 20 faces, (height, width, 3) uint8 BGR."""
    y0, y1, x0, x1 = _HEAD
    head = portrait()[y0:y1, x0:x1]
    frame = np.full((height, width, 3), 110, np.uint8)
    columns, rows = next((c, r) for c, r in _GRIDS if faces <= c * r)
    columns = min(faces, columns)
    side = min(width // columns, height // rows, 300)
    for i in range(faces):
        row, column = divmod(i, columns)
        tile = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        if i % 2:
            tile = tile[:, ::-1]
        y, x = row * side, column * side
        frame[y : y + side, x : x + side] = tile
    return frame
