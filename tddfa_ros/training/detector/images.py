"""Pool of labeled images and backgrounds: decoded once, stored in one memory-mapped array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray

HOLD_OUT_EVERY = 10
"""Every so many-th image with faces is held out for validation."""


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """One image with its faces.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        boxes: (n, 4) ``x0, y0, x1, y1`` px, in the extent of `tddfa_ros.detection.Detector`.
        landmarks: (n, 68, 2) px; NaN where they are unknown.
        ignore: (n,) True: neither a face nor background.
    """

    image: ImageBGR
    boxes: FloatArray
    landmarks: FloatArray
    ignore: NDArray[np.bool_]

    def resized(self, most: int) -> LabeledImage:
        """Reduce the image to a long side of at most ``most`` px."""
        scale = most / max(self.image.shape[:2])
        if scale >= 1:
            return self
        size = [max(1, round(side * scale)) for side in self.image.shape[1::-1]]
        small = np.asarray(cv2.resize(self.image, size, interpolation=cv2.INTER_AREA), np.uint8)
        # pixel centers are at integers
        boxes, landmarks = (
            ((values + 0.5) * scale - 0.5).astype(np.float32)
            for values in (self.boxes, self.landmarks)
        )
        return LabeledImage(small, boxes, landmarks, self.ignore)


@dataclass(frozen=True, eq=False)
class ImagePool:
    """Images of different sizes in one array.

    Attributes:
        pixels: all pixels of all images, one after the other, uint8.
        starts: (n + 1,) first byte of each image, and the end.
        shapes: (n, 2) height and width.
        boxes, landmarks, ignore: as in :class:`LabeledImage`, of all images.
        first: (n + 1,) first face of each image, and the end.
        held_out: (n,) True: for validation.
    """

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    shapes: NDArray[np.int64]
    boxes: FloatArray
    landmarks: FloatArray
    ignore: NDArray[np.bool_]
    first: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, number: int) -> LabeledImage:
        height, width = self.shapes[number]
        pixels = self.pixels[self.starts[number] : self.starts[number + 1]]
        faces = slice(self.first[number], self.first[number + 1])
        return LabeledImage(
            np.asarray(pixels).reshape(height, width, 3),
            self.boxes[faces],
            self.landmarks[faces],
            self.ignore[faces],
        )


def write_pool(folder: Path, images: Iterable[LabeledImage]) -> None:
    """Write a pool; the labels come last, so that an interrupted pool is not read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.npz").unlink(missing_ok=True)
    shapes: list[tuple[int, int]] = []
    boxes, landmarks, ignore, counts = [], [], [], []
    with (folder / "pixels.bin").open("wb") as file:
        for item in images:
            file.write(np.ascontiguousarray(item.image).tobytes())
            shapes.append((item.image.shape[0], item.image.shape[1]))
            boxes.append(item.boxes.reshape(-1, 4))
            landmarks.append(item.landmarks.reshape(-1, 68, 2))
            ignore.append(item.ignore)
            counts.append(len(item.boxes))
    if not shapes:
        raise ConfigError(f"there is no image to write to {folder}")
    np.savez(
        folder / "labels.npz",
        shapes=np.array(shapes, np.int64),
        boxes=np.concatenate(boxes).astype(np.float32),
        landmarks=np.concatenate(landmarks).astype(np.float32),
        ignore=np.concatenate(ignore).astype(np.bool_),
        counts=np.array(counts, np.int64),
    )


def open_pool(folder: Path) -> ImagePool:
    """Open a pool of :func:`write_pool`.

    Raises:
        ConfigError: it is missing or incomplete.
    """
    try:
        with np.load(folder / "labels.npz") as file:
            labels = {name: file[name] for name in file.files}
        pixels = np.memmap(folder / "pixels.bin", np.uint8, "r")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} holds no complete pool of images: delete it") from error
    counts, shapes = labels.pop("counts"), labels.pop("shapes")
    starts = np.concatenate([[0], np.cumsum(3 * shapes.prod(axis=1))])
    if starts[-1] != len(pixels):
        raise ConfigError(f"{folder} holds no complete pool of images: delete it")
    with_faces = np.cumsum(counts > 0)
    return ImagePool(
        pixels,
        starts,
        shapes,
        first=np.concatenate([[0], np.cumsum(counts)]),
        held_out=(counts > 0) & (with_faces % HOLD_OUT_EVERY == 0),
        **labels,
    )


def faceless(image: ImageBGR) -> LabeledImage:
    """Return an image without faces."""
    return LabeledImage(
        image,
        np.zeros((0, 4), np.float32),
        np.zeros((0, 68, 2), np.float32),
        np.zeros(0, np.bool_),
    )


def transformed(points: RealArray, matrix: DoubleArray) -> DoubleArray:
    """Transform points (..., 2) by an affine matrix (2, 3)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)
