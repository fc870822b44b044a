"""Draw captions: text on plates inside the image that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from tddfa_ros.types import FloatArray, ImageBGR


def face_size(landmarks: FloatArray) -> float:
    """Return the square root of the area of the landmarks' bounding box, px; at least 1."""
    extent = landmarks[:, :2].max(0) - landmarks[:, :2].min(0)
    return float(math.sqrt(max(float(extent[0] * extent[1]), 1.0)))


def draw_caption(
    canvas: ImageBGR,
    face: Any,
    tint: tuple[int, int, int],
    scale: float,
    placed: list[tuple[int, int, int, int]],
) -> None:
    """Draw ID, confidence, distance and angles on a dark plate beside the face, off the plates in ``placed``."""
    head = f"{getattr(face, 'id', '')} {face.confidence:.2f}".strip()
    distance = getattr(face, "distance", None)
    if distance is not None and math.isfinite(distance):
        head += f"  {distance:.2f} m"
    lines = [head]
    if np.isfinite(face.yaw_pitch_roll).all():
        names = ("yaw", "pitch", "roll")
        pairs = zip(names, face.yaw_pitch_roll, strict=True)
        lines += [f"{name} {round(float(angle)):+d}" for name, angle in pairs]
    width, height = text_extent(lines, scale)
    corner = _plate_corner(canvas, face.landmarks68, (width, height), placed)
    placed.append((corner[0], corner[1], corner[0] + width, corner[1] + height))
    draw_text(canvas, lines, corner, scale, tint)


def _plate_corner(
    canvas: ImageBGR,
    landmarks: FloatArray,
    plate: tuple[int, int],
    placed: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int]:
    """Return the upper left corner of a plate: right, left, below or above the face, the first without overlap."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    gap = 0.35 * face_size(landmarks)
    width, height = plate
    candidates = (
        (high[0] + gap, low[1] - 0.5 * gap),
        (low[0] - gap - width, low[1] - 0.5 * gap),
        (0.5 * (low[0] + high[0] - width), high[1] + gap),
        (0.5 * (low[0] + high[0] - width), low[1] - 2 * gap - height),
    )
    best, best_cost = (0, 0), math.inf
    for x, y in candidates:
        left = round(min(max(x, 4), max(canvas.shape[1] - width - 4, 4)))
        top = round(min(max(y, 4), max(canvas.shape[0] - height - 4, 4)))
        cost = 0.5 * (
            abs(left - x) + abs(top - y)
        )  # a plate moved back into the image covers the face
        for x0, y0, x1, y1 in placed:
            overlap_x = min(left + width, x1) - max(left, x0)
            overlap_y = min(top + height, y1) - max(top, y0)
            cost += max(overlap_x, 0) * max(overlap_y, 0)
        if cost < best_cost - 1:
            best, best_cost = (left, top), cost
    return best


def text_extent(lines: Sequence[str], scale: float) -> tuple[int, int]:
    """Return width and height of the plate of these lines, px."""
    widths = [
        cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, 1)[0][0] for line in lines
    ]
    return max(widths) + round(12 * scale), round(17 * scale) * len(lines) + round(9 * scale)


def draw_text(
    canvas: ImageBGR,
    lines: Sequence[str],
    corner: tuple[int, int],
    scale: float,
    accent: tuple[int, int, int],
) -> None:
    """Draw lines on a dark plate with an accent color; ``corner`` is its upper left, px."""
    x, y = corner
    width, height = text_extent(lines, scale)
    plate = canvas[max(y, 0) : y + height, max(x, 0) : x + width]
    if plate.size == 0:
        return
    plate[:] = (plate * 0.35).astype(np.uint8)
    cv2.rectangle(canvas, (x, y), (x + max(2, round(2 * scale)), y + height - 1), accent, -1)
    for i, line in enumerate(lines):
        origin = (x + round(8 * scale), y + round(17 * scale) * (i + 1))
        color = accent if i == 0 else (240, 240, 240)
        cv2.putText(
            canvas, line, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, color, 1, cv2.LINE_AA
        )
