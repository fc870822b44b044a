"""Generate the stickers of ``config/makeup``: ``python scripts/draw_stickers.py`` writes config/makeup/*.png."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).resolve().parents[1] / "config" / "makeup"
SIDE = 256
FINE = 4

Mask = NDArray[np.float32]


def polygon(points: NDArray[np.float64]) -> Mask:
    """Return the coverage (SIDE, SIDE) 0..1 of a polygon with corners (n, 2) in -1..1, y up."""
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    corners = (points * [1, -1] * 0.5 + 0.5) * SIDE * FINE
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 255)
    return (cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255).astype(np.float32)


def star() -> Mask:
    """Return the coverage of a five-pointed star."""
    angle = np.pi / 2 + np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 0.95, 0.42)
    return polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def disc(soft: float) -> Mask:
    """Return the coverage of a disc; ``soft`` is the width of its edge."""
    v, u = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE * 2 - 1
    return np.clip((0.95 - np.hypot(u, v)) / soft, 0, 1).astype(np.float32)


def brushed() -> Mask:
    """Return the coverage of a brush stroke: a square with a noisy edge."""
    v, u = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE * 2 - 1
    noise = np.random.default_rng(7).normal(size=(SIDE, SIDE)).astype(np.float32)
    streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=14, sigmaY=1.5)
    edge = 0.90 - np.maximum(np.abs(u) ** 1.0, np.abs(v)) + 0.9 * streaks / np.ptp(streaks) * 0.12
    return np.clip(edge / 0.06, 0, 1).astype(np.float32)


def write(name: str, color: NDArray[np.float32], alpha: Mask) -> None:
    """Write color (SIDE, SIDE, 3) or (3,) BGR and coverage as a PNG file with alpha."""
    image = np.zeros((SIDE, SIDE, 4), np.uint8)
    image[..., :3] = color
    image[..., 3] = np.rint(255 * alpha)
    cv2.imwrite(str(TARGET / f"{name}.png"), image)


def main() -> None:
    """Generate all stickers."""
    stripes = np.zeros((SIDE, SIDE, 3), np.float32)
    for row, color in enumerate(((60, 40, 190), (235, 240, 245), (150, 70, 30))):
        stripes[row * SIDE // 3 : (row + 1) * SIDE // 3] = color
    write("stripes", stripes, brushed())
    write("star", np.float32([40, 190, 250]), star())
    write("clown_nose", np.float32([40, 30, 225]), disc(0.12))


if __name__ == "__main__":
    main()
