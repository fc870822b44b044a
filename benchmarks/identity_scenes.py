"""Scenes with exact ground truth for benchmarks/identity.py: real faces pasted on a textured background, 640 x 480 at 30 Hz."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from identity_people import Cutout, cutouts
from numpy.typing import NDArray

from tddfa_ros.pipeline import FacePipeline

WIDTH, HEIGHT, HZ, FRAMES = 640, 480, 30.0, 600
MIN_VISIBLE = 0.5
"""A face of which a smaller ratio is visible is neither expected nor a false positive."""

_MARGIN = 160  # px of background beyond each border

Array = NDArray[np.float64]
Path2 = Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class Actor:
    """A cutout that moves: ``path`` is the center of its ROI in px by time in s, ``side`` the side of the ROI in px."""

    cutout: Cutout
    path: Path2
    side: float
    roll: Callable[[float], float] = lambda t: 0.0


@dataclass(frozen=True)
class Board:
    """An opaque board as high as the image; ``left`` and ``right`` edge in px by time."""

    span: Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class Truth:
    """Ground truth of a frame: boxes (n, 4) of all faces, px, and the ratio of each that is visible (n,)."""

    boxes: Array
    visible: Array


@dataclass
class Scene:
    """Actors, the last in front; boards in front of all; ``shake`` (frames, 2) is the offset of the camera, px."""

    name: str
    seed: int
    actors: list[Actor]
    boards: list[Board] = field(default_factory=list)
    shake: Array = field(default_factory=lambda: np.zeros((FRAMES, 2)))
    frames: int = FRAMES

    def play(self) -> Iterator[tuple[float, NDArray[np.uint8], Truth]]:
        """Render stamp, image and ground truth of each frame."""
        rng = np.random.default_rng(1000 + self.seed)
        background = texture(rng, HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN)
        board = texture(rng, HEIGHT, WIDTH) // 2
        noise = rng.normal(0, 2.0, (2 * HEIGHT, WIDTH, 3)).round().astype(np.int16)
        for i in range(self.frames):
            t, shake = i / HZ, self.shake[i]
            at = np.array([[1, 0, shake[0] - _MARGIN], [0, 1, shake[1] - _MARGIN]])
            image = cv2.warpAffine(background, at, (WIDTH, HEIGHT))
            boxes: list[Array] = []
            masks: list[NDArray[np.float32]] = []
            for actor in self.actors:
                matrix = _matrix(actor, t, shake)
                masks.append(np.zeros((HEIGHT, WIDTH), np.float32))
                _paste(image, masks, actor.cutout, matrix)
                boxes.append(_moved_box(actor.cutout.box, matrix))
            for item in self.boards:
                left, right = (int(np.clip(x, 0, WIDTH)) for x in item.span(t))
                image[:, left:right] = board[:, left:right]
                for mask in masks:
                    mask[:, left:right] = 0
            image = cv2.convertScaleAbs(image, alpha=1 + 0.04 * math.sin(2 * math.pi * t / 7))
            top = int(rng.integers(HEIGHT))
            image = cv2.add(image, noise[top : top + HEIGHT], dtype=cv2.CV_8U)
            whole = [
                float(a.cutout.alpha.sum()) * (a.side / a.cutout.side) ** 2 for a in self.actors
            ]
            visible = np.array(
                [float(m.sum()) / area for m, area in zip(masks, whole, strict=True)]
            )
            yield t, image, Truth(np.array(boxes), visible)


def _paste(
    image: NDArray[np.uint8], masks: list[NDArray[np.float32]], cutout: Cutout, matrix: Array
) -> None:
    """Draw a cutout into the image; the last of ``masks`` becomes its alpha, and the others lose what it covers."""
    height, width = cutout.alpha.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, [WIDTH, HEIGHT]).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, [WIDTH, HEIGHT]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix.copy()
    local[:, 2] -= [x0, y0]
    size = (int(x1 - x0), int(y1 - y0))
    alpha = cv2.warpAffine(cutout.alpha, local, size)
    pixels = cv2.warpAffine(cutout.pixels, local, size, borderMode=cv2.BORDER_REPLICATE)
    part = image[y0:y1, x0:x1]
    part[...] = np.rint(part + alpha[..., None] * (pixels.astype(np.float32) - part))
    for mask in masks[:-1]:
        mask[y0:y1, x0:x1] *= 1 - alpha
    masks[-1][y0:y1, x0:x1] = alpha


def texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a random background (height, width, 3): blocks and stripes of several sizes."""
    image = np.full((height, width, 3), 120.0, np.float32)
    for cell, strength in ((160, 60.0), (48, 35.0), (12, 12.0)):
        size = (height // cell + 2, width // cell + 2, 3)
        field_ = rng.normal(0, strength, size).astype(np.float32)
        large = cv2.resize(field_, (width, height), interpolation=cv2.INTER_CUBIC)
        image += large
    for _ in range(25):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = (int(v) for v in rng.integers(20, 140, 2))
        color = tuple(float(c) for c in rng.integers(20, 230, 3))
        cv2.rectangle(image, (x, y), (x + w, y + h), color, -1)
    gray = image.mean(axis=-1, keepdims=True)
    muted = gray + 0.3 * (image - gray)
    return np.clip(cv2.GaussianBlur(muted, (5, 5), 0), 0, 255).astype(np.uint8)


def _matrix(actor: Actor, t: float, offset: Array) -> Array:
    """Affine (2, 3) from px of the cutout to px of the image."""
    cut = actor.cutout
    x, y = cut.center
    matrix = cv2.getRotationMatrix2D((float(x), float(y)), actor.roll(t), actor.side / cut.side)
    matrix[:, 2] += np.array(actor.path(t)) + offset - cut.center
    return matrix


def _moved_box(box: Array, matrix: Array) -> Array:
    corners = np.array([[box[i], box[j]] for i in (0, 2) for j in (1, 3)])
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    center, scale = moved.mean(axis=0), math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    half = scale * (box[2:] - box[:2]) / 2
    return np.concatenate([center - half, center + half])


def _swing(x: float, reach: float, y: float, period: float, phase: float) -> Path2:
    """Go from side to side around (x, y)."""

    def path(t: float) -> tuple[float, float]:
        angle = 2 * math.pi * t / period + phase
        return x + reach * math.sin(angle), y + 6 * math.sin(2.3 * angle)

    return path


def _roll(rng: np.random.Generator) -> Callable[[float], float]:
    rate, phase = rng.uniform(0.3, 0.8), rng.uniform(0, 6.28)
    return lambda t: 5 * math.sin(2 * math.pi * rate * t + phase)


def crossing(people: list[Cutout], seed: int) -> Scene:
    """People who walk from side to side and pass in front of each other."""
    rng = np.random.default_rng(seed)
    actors = []
    for i, cut in enumerate(people):
        pair = len(people) == 2
        phase = i * math.pi + rng.uniform(-0.4, 0.4) if pair else rng.uniform(0, 2 * math.pi)
        path = _swing(
            320 + rng.uniform(-30, 30),
            rng.uniform(170, 230),
            240 + rng.uniform(-35, 35),
            rng.uniform(4.5, 5.5) if pair else rng.uniform(4.5, 8),
            phase,
        )
        actors.append(Actor(cut, path, 100 + 12 * i, _roll(rng)))
    return Scene(f"{len(people)} cross", seed, actors)


def _row(
    people: list[Cutout], rng: np.random.Generator, amplitude: float, side: float
) -> list[Actor]:
    """People side by side, each swinging about its own place."""
    count = len(people)
    return [
        Actor(
            cut,
            _swing(
                WIDTH * (i + 0.5) / count,
                amplitude,
                240,
                rng.uniform(5, 7),
                rng.uniform(0, 2 * math.pi),
            ),
            side,
            _roll(rng),
        )
        for i, cut in enumerate(people)
    ]


def occlusion(people: list[Cutout], seed: int, seconds: float) -> Scene:
    """A board passes in front of people and covers each of them for ``seconds``."""
    rng = np.random.default_rng(seed)
    actors = _row(people, rng, 50, 110)
    speed, every = 420.0, 3.2
    width = speed * seconds + 60

    def span(t: float) -> tuple[float, float]:
        right = speed * ((t + 1.0) % every) - 150
        return right - width, right

    return Scene(f"occluded {seconds:g} s", seed, actors, [Board(span)])


def leaving(people: list[Cutout], seed: int) -> Scene:
    """People who leave the image and return within 2 s, most of them where they left."""
    rng = np.random.default_rng(seed)
    return Scene(
        "leave and return",
        seed,
        [Actor(cut, _visits(rng, i), 105, _roll(rng)) for i, cut in enumerate(people)],
    )


def _visits(rng: np.random.Generator, index: int) -> Path2:
    """Stay, leave to a side at 350 px/s, stay away for less than 2 s, return."""
    outside, speed = 90.0, 350.0
    knots = [(-1.0, 320.0, 240.0)]
    t, y, home = rng.uniform(1.0, 2.0), 240.0 + (60 if index else -60), 200.0 + 240 * (index % 2)
    knots[0] = (-1.0, home, y)
    while t < FRAMES / HZ:
        knots.append((t, home, y))
        right = rng.random() < 0.5
        exit_x = WIDTH + outside if right else -outside
        t += abs(exit_x - home) / speed
        knots.append((t, exit_x, y))
        # The center of the face is outside for another 2 * 90 / 350 s.
        t += rng.uniform(0.0, 1.2)
        y = float(np.clip(y + rng.uniform(-50, 50), 130, 350))
        back_x = exit_x if rng.random() < 0.8 else WIDTH - exit_x
        knots.append((t, back_x, y))
        t += abs(back_x - home) / speed
        knots.append((t, home, y))
        t += rng.uniform(1.0, 2.0)
    times, xs, ys = np.array(knots).T
    return lambda at: (float(np.interp(at, times, xs)), float(np.interp(at, times, ys)))


def shaking(people: list[Cutout], seed: int) -> Scene:
    """People who move slowly before a camera that jumps by 0.3 ROI sides (RMS) per frame in a random direction."""
    rng = np.random.default_rng(seed)
    side = 110.0
    actors = _row(people, rng, 40, side)
    # Independent offsets with a standard deviation of s per axis differ by 2 s (RMS) from frame to frame.
    shake = np.clip(rng.normal(0, 0.15 * side, (FRAMES, 2)), -60, 60)
    return Scene("camera shake", seed, actors, shake=shake)


def cast(folder: Path, pipeline: FacePipeline, seed: int) -> list[list[Cutout]]:
    """Choose the people of each scene; scene k of another seed has others."""
    counts = (2, 2, 4, 4, 2, 2, 2, 2, 3)
    return [
        cutouts(folder, count, 100 * seed + number, pipeline) for number, count in enumerate(counts)
    ]


def all_scenes(people: list[list[Cutout]], seed: int) -> list[Scene]:
    """Build the scenes of the table of `cast`; other seeds give other paths."""
    makers: list[Callable[[list[Cutout], int], Scene]] = [
        *[crossing] * 4,
        lambda people, seed: occlusion(people, seed, 0.5),
        lambda people, seed: occlusion(people, seed, 1.0),
        *[leaving] * 2,
        shaking,
    ]
    return [
        make(them, 10 * seed + i) for i, (make, them) in enumerate(zip(makers, people, strict=True))
    ]
