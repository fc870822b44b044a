"""A `Predictor` with predefined results per image; the gray level of an image is its index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.evaluation.prediction import Follower, MapPrediction, Prediction


def numbered_image(path: Path, number: int, size: tuple[int, int] = (120, 120)) -> None:
    """Write an image (height, width) with an index as gray level; ``path`` must end in .png, which is lossless."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), number, np.uint8))


def number_of(image: NDArray[np.uint8]) -> int:
    return int(image[0, 0, 0])


@dataclass
class FakePredictor:
    """``faces``, ``straight`` (direct landmarks), ``boxes``: by index of the image; ``asked``: (index, ROI) of all calls."""

    faces: Sequence[Prediction] = ()
    straight: Sequence[NDArray] | None = None
    boxes: Sequence[NDArray] = ()
    follow: Callable[[NDArray[np.uint8], float], Mapping[str, NDArray | None]] | None = None
    drawn: Sequence[MapPrediction] | None = None
    name: str = "fake"
    asked: list[tuple[int, NDArray]] = field(default_factory=list)

    def regress(self, image: NDArray[np.uint8], rois: NDArray) -> list[Prediction]:
        self.asked += [(number_of(image), np.array(roi)) for roi in rois]
        return [self.faces[number_of(image)] for _ in rois]

    def direct(self, image: NDArray[np.uint8], rois: NDArray) -> NDArray | None:
        if self.straight is None:
            return None
        return np.stack([self.straight[number_of(image)] for _ in rois])

    def maps(self, image: NDArray[np.uint8], rois: NDArray) -> list[MapPrediction] | None:
        if self.drawn is None:
            return None
        return [self.drawn[number_of(image)] for _ in rois]

    def detect(self, image: NDArray[np.uint8]) -> NDArray:
        return np.reshape(np.asarray(self.boxes[number_of(image)], np.float32), (-1, 5))

    def follower(self) -> Follower:
        assert self.follow is not None
        return self.follow


def random_points(count: int, low: float = 20, high: float = 180, seed: int = 3) -> NDArray:
    """Return random landmarks (count, 68, 2)."""
    return np.random.default_rng(seed).uniform(low, high, (count, 68, 2)).astype(np.float32)


def box_area_root(points: NDArray) -> float:
    """Return the square root of the area of the bounding box of landmarks (68, 2)."""
    width = points[:, 0].max() - points[:, 0].min()
    height = points[:, 1].max() - points[:, 1].min()
    return float(np.sqrt(width * height))
