"""Lines of old skin as curves relative to the 68 landmarks of the head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tddfa_ros.types import DoubleArray


@dataclass(frozen=True, eq=False)
class Line:
    """A groove, or a ridge if the depth is negative.

    Attributes:
        points: (n, 2) control points on the cylinder, mm.
        width: half width, mm.
        depth: mm.
        broken: 0..1, how much the depth varies along the line.
    """

    points: DoubleArray
    width: float
    depth: float
    broken: float = 0.5


def midlines(marks: DoubleArray, random: np.random.Generator) -> Iterator[Line]:
    """Yield the lines that cross the middle of the face.

    Args:
        marks: (68, 2) landmarks on the cylinder, mm.
        random: varies the shapes.
    """
    brow, outer = marks[24, 1], marks[26, 0]
    for i, above in enumerate((11.0, 19.0, 27.5, 36.0, 43.0)):
        half = outer * (0.95 - 0.08 * i) + random.uniform(-4, 4)
        s = np.linspace(-half, half, 9) + random.uniform(-3, 3)
        arch = 3.5 * np.cos(np.pi * s / (0.62 * half)) * -0.6 - 5.0 * (np.abs(s) / half) ** 2.5
        y = brow + above + arch + random.normal(0, 0.7, 9)
        yield Line(np.column_stack([s, y]), 1.1, (0.36, 0.42, 0.40, 0.30, 0.18)[i], broken=0.75)
    root = marks[27]
    yield Line(np.array([[-11.0, root[1] + 2.5], [0, root[1] + 1], [11, root[1] + 2.5]]), 0.9, 0.22)
    chin, lip = marks[8], marks[57]
    crease = lip[1] + 0.38 * (chin[1] - lip[1])
    s = np.linspace(-17, 17, 5)
    yield Line(np.column_stack([s, crease - 3.0 * (s / 17) ** 2]), 2.0, 0.5)
    for i, below in enumerate((16.0, 25.0, 33.0)):
        s = np.linspace(-55, 55, 9)
        y = chin[1] - below + 9.0 * (s / 55) ** 2 + random.normal(0, 0.8, 9)
        yield Line(np.column_stack([s, y]), 1.5, (0.5, 0.6, 0.4)[i])
    for s in np.linspace(-15, 15, 11) + random.uniform(-0.8, 0.8, 11):
        top = np.interp(abs(s), [0, 24], [marks[51, 1], marks[54, 1]])
        length = random.uniform(5, 9)
        points = [[s, top + 0.8], [1.05 * s, top + 0.5 * length], [1.12 * s, top + length]]
        yield Line(np.array(points), 0.6, random.uniform(0.10, 0.2), broken=0.3)
    for s in np.linspace(-14, 14, 8) + random.uniform(-1, 1, 8):
        top = np.interp(abs(s), [0, 24], [marks[57, 1], marks[54, 1]])
        points = [[s, top - 2.0], [1.1 * s, top - random.uniform(5, 9)]]
        yield Line(np.array(points), 0.6, random.uniform(0.06, 0.12), broken=0.3)


def sidelines(marks: DoubleArray, random: np.random.Generator) -> Iterator[Line]:
    """Yield the lines of the person's left half; see :func:`midlines`."""
    brow = marks[22]
    yield Line(np.array([brow + [-11, 9], brow + [-12.5, 2], brow + [-12, -6]]), 1.1, 0.45)
    corner = marks[45]
    for angle in np.deg2rad([38, 22, 7, -8, -24, -40]) + random.normal(0, 0.05, 6):
        start, length = random.uniform(4.5, 6.5), random.uniform(14, 24)
        reach = np.array([start, start + 0.5 * length, start + length])
        droop = np.array([0, -0.4, -1.8])
        points = corner + np.column_stack(
            [np.cos(angle) * reach, np.sin(angle) * reach + droop + 1.0]
        )
        yield Line(points, 0.8, random.uniform(0.2, 0.34), broken=0.4)
    inner, lower, low_outer = marks[42], marks[47], marks[46]
    for i, below in enumerate((3.6, 5.6, 8.0)):
        points = [inner + [3, -2 - below], lower + [0, -1 - below], low_outer + [0, -0.6 - below],
                  corner + [3, -1 - 0.8 * below]]  # fmt: skip
        yield Line(np.array(points) + random.normal(0, 0.4, (4, 2)), 0.7, (0.14, 0.16, 0.14)[i])
    # Tear trough, below the bag.
    points = [inner + [0.5, -5], inner + [7, -12], lower + [3, -15.5], corner + [-1, -14]]
    yield Line(np.array(points), 1.9, 0.45, broken=0.15)
    wing, mouth = marks[35], marks[54]
    # Nasolabial fold, with the swollen cheek beside it.
    fold = np.array(
        [
            wing + [4, 8],
            wing + [9, 1.5],
            (wing + mouth) / 2 + [11, 1.5],
            mouth + [9, 2.5],
            mouth + [9, -5],
        ]
    )
    yield Line(fold, 1.3, 0.5, broken=0.2)
    yield Line(fold, 3.2, 0.75, broken=0.0)
    yield Line(fold[:-1] + [[3.5, 2.5], [5, 3], [6, 2], [6, 0]], 4.5, -0.9, broken=0.0)
    # Marionette fold, from the corner of the mouth down.
    fold = np.array([mouth + [2.5, -1.5], mouth + [5, -8], mouth + [7, -15], mouth + [8, -21]])
    yield Line(fold, 1.2, 0.35, broken=0.3)
    yield Line(fold, 2.8, 0.45, broken=0.0)
    yield Line(fold + [6, -1], 4.0, -0.55, broken=0.0)
    for i in range(4):
        top = mouth + [19 + 6.5 * i, 24 - 3.5 * i]
        points = [top, top + [3.5, -11], top + [3.0, -24], top + [-0.5, -36 + 3 * i]]
        noise = random.normal(0, 0.7, (4, 2))
        yield Line(np.array(points) + noise, 0.9, random.uniform(0.14, 0.24), broken=0.8)
