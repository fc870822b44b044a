"""Line charts drawn with OpenCV, which the package has anyway: axes, grid, lines, dots, legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.types import ImageBGR, RealArray

WIDTH, HEIGHT = 960, 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 56, 64
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_FINE = 16  # sub-pixel positions of cv2's ``shift`` arguments, 2 ** 4

COLORS = (
    (178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230), (233, 180, 86), (66, 228, 240), (110, 110, 110), (0, 0, 0),
)  # fmt: skip
"""BGR; the palette of Okabe and Ito, which the color-blind can tell apart."""


@dataclass(frozen=True, eq=False)
class Line:
    """A curve through points (n,), (n,); a NaN interrupts it. ``dots``: also (m,), (m,) in a paler tone, behind it."""

    name: str
    x: RealArray
    y: RealArray
    dots: tuple[RealArray, RealArray] | None = None


@dataclass(frozen=True)
class Axis:
    """``label`` is ASCII. Values outside ``low`` .. ``high`` are cut off; a tick every ``step``."""

    label: str
    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Values at the ticks."""
        count = int(np.floor((self.high - self.low) / self.step + 1e-9))
        return [self.low + i * self.step for i in range(count + 1)]


def chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> ImageBGR:
    """Draw lines in their order, one color each; (600, 960, 3) BGR."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    _axes(canvas, title, x, y)
    for line, color in zip(lines, _cycle(len(lines)), strict=True):
        if line.dots is not None:
            _dots(canvas, line.dots, color, x, y)
    for line, color in zip(lines, _cycle(len(lines)), strict=True):
        _line(canvas, line, color, x, y)
    _legend(canvas, [line.name for line in lines])
    return canvas


def _axes(canvas: ImageBGR, title: str, x: Axis, y: Axis) -> None:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for tick in x.ticks:
        at = round(_across(np.array(tick), x).item())
        cv2.line(canvas, (at, _TOP), (at, bottom), _GRID, 1)
        _text(canvas, f"{tick:g}", (at, bottom + 20), center=True)
    for tick in y.ticks:
        at = round(_down(np.array(tick), y).item())
        cv2.line(canvas, (_LEFT, at), (right, at), _GRID, 1)
        _text(canvas, f"{tick:g}", (_LEFT - 46, at + 5))
    cv2.rectangle(canvas, (_LEFT, _TOP), (right, bottom), _INK, 1)
    _text(canvas, x.label, ((_LEFT + right) // 2, HEIGHT - 16), center=True)
    _text(canvas, y.label, (12, _TOP - 10))
    _text(canvas, title, (WIDTH // 2, 24), center=True, scale=0.62)


def _line(canvas: ImageBGR, line: Line, color: tuple[int, int, int], x: Axis, y: Axis) -> None:
    points = np.stack([_across(line.x, x), _down(line.y, y)], axis=-1)
    breaks = np.flatnonzero(~np.isfinite(points).all(axis=1))
    for part in np.split(points, breaks):
        part = part[np.isfinite(part).all(axis=1)]
        if len(part):
            fixed = np.rint(part * _FINE).astype(np.int32)[:, None]
            cv2.polylines(canvas, [fixed], False, color, 2, cv2.LINE_AA, 4)


def _dots(
    canvas: ImageBGR,
    dots: tuple[RealArray, RealArray],
    color: tuple[int, int, int],
    x: Axis,
    y: Axis,
) -> None:
    pale = tuple(round(0.45 * c + 0.55 * 255) for c in color)
    for at_x, at_y in zip(_across(dots[0], x), _down(dots[1], y), strict=True):
        if np.isfinite(at_x + at_y):
            cv2.circle(canvas, (round(at_x), round(at_y)), 1, pale, -1, cv2.LINE_AA)


def _legend(canvas: ImageBGR, names: Sequence[str]) -> None:
    if not names:
        return
    width = max(cv2.getTextSize(name, _FONT, 0.45, 1)[0][0] for name in names) + 52
    left, top = WIDTH - _RIGHT - width - 12, _legend_top(canvas, width, 22 * len(names) + 10)
    plate = canvas[top : top + 22 * len(names) + 10, left : left + width]
    plate[:] = (0.15 * plate + 0.85 * 255).astype(np.uint8)
    for i, (name, color) in enumerate(zip(names, _cycle(len(names)), strict=True)):
        middle = top + 17 + 22 * i
        cv2.line(canvas, (left + 8, middle), (left + 36, middle), color, 2, cv2.LINE_AA)
        _text(canvas, name, (left + 44, middle + 5), scale=0.45)


def _legend_top(canvas: ImageBGR, width: int, height: int) -> int:
    """Above or below, wherever less is drawn."""
    left = WIDTH - _RIGHT - width - 12
    tops = (_TOP + 12, HEIGHT - _BOTTOM - height - 12)
    ink = [(canvas[top : top + height, left : left + width] < 200).sum() for top in tops]
    return tops[int(np.argmin(ink))]


def _across(values: RealArray, axis: Axis) -> RealArray:
    part = (np.clip(values, axis.low, axis.high) - axis.low) / (axis.high - axis.low)
    return np.asarray(_LEFT + part * (WIDTH - _LEFT - _RIGHT))


def _down(values: RealArray, axis: Axis) -> RealArray:
    part = (np.clip(values, axis.low, axis.high) - axis.low) / (axis.high - axis.low)
    return np.asarray(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM))


def _text(
    canvas: ImageBGR, text: str, at: tuple[int, int], center: bool = False, scale: float = 0.5
) -> None:
    if center:
        at = (at[0] - cv2.getTextSize(text, _FONT, scale, 1)[0][0] // 2, at[1])
    cv2.putText(canvas, text, at, _FONT, scale, _INK, 1, cv2.LINE_AA)


def _cycle(count: int) -> list[tuple[int, int, int]]:
    return [COLORS[i % len(COLORS)] for i in range(count)]
