"""Faces cut out of images, for the scenes of benchmarks/identity.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.pipeline import FacePipeline


@dataclass(frozen=True)
class Cutout:
    """A face cut out of an image: BGR pixels, alpha 0..1, box of its landmarks and center and side of its ROI, px."""

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    box: NDArray[np.float64]
    center: NDArray[np.float64]
    side: float


def cutouts(folder: Path, count: int, seed: int, pipeline: FacePipeline) -> list[Cutout]:
    """Cut ``count`` faces out of images of a folder, one person per image, chosen by the seed.

    Raises:
        ValueError: the folder has too few images with one clear face.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".webp", ".jpg", ".jpeg", ".png"})
    order = np.random.default_rng(seed).permutation(len(files))
    found: list[Cutout] = []
    for index in order[: 40 * count]:
        image = cv2.imread(str(files[index]))
        cut = None if image is None else _cut(image, pipeline)
        if cut is not None:
            found.append(cut)
            if len(found) == count:
                return found
    raise ValueError(f"{folder} has no {count} images that show one clear face")


def _cut(image: NDArray[np.uint8], pipeline: FacePipeline) -> Cutout | None:
    if np.ptp(image.astype(np.int16), axis=-1).mean() < 8:
        return None  # a gray image among colored ones would make its person too easy to recognize
    faces = pipeline(image)
    if len(faces) != 1 or faces[0].confidence < 0.9 or abs(faces[0].yaw_pitch_roll[0]) > 25:
        return None
    face = faces[0]
    points = face.landmarks68[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max() * math.sqrt(2))
    center = (low + high) / 2
    hull = cv2.convexHull(face.vertices[:, :2].astype(np.float32)).reshape(-1, 2)
    hull = hull[hull[:, 1] < high[1] + 0.15 * side]
    inside = (hull.min() >= 0) and (hull[:, 0].max() < image.shape[1])
    if side < 60 or not inside or hull[:, 1].max() >= image.shape[0]:
        return None
    alpha = np.zeros(image.shape[:2], np.float32)
    cv2.fillConvexPoly(alpha, hull.astype(np.int32), 1.0)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 0)
    return Cutout(image, alpha, np.concatenate([low, high]), center, side)
