"""A synthetic training cache and a configuration of some dozen steps, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from support.posed import pixels, posed, random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.config import AugmentConfig, TrainConfig
from tddfa_ros.training.loss_weights import LossWeights

HELD_OUT_EVERY = 12
SKIN, LIPS = 1, 5

TINY = TrainConfig(
    width=0.125,
    input_size=96,
    epochs=2,
    samples=96,
    batch=8,
    learning_rate=5e-3,
    warmup_epochs=0.5,
    ema_half_life=4.0,
    negatives=0.25,
    device="cpu",
    threads=1,
    workers=0,
    # only what a few dozen steps can learn: upright faces, weakly augmented
    augment=AugmentConfig(
        roll_sigma_deg=0, large_roll=0, mirror=0, occlude=0, color=0, p_wide=0, p_weak=0.8
    ),
    loss=LossWeights(gaps=0.5, lids=0.1),
)


def tiny(**options: Any) -> TrainConfig:
    """:data:`TINY` with other options."""
    return replace(TINY, **options)


class StopAfter:
    """Replaces :class:`~tddfa_ros.interrupt.StopRequest`: requests a stop at the n-th check."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def __call__(self) -> StopAfter:
        return self

    def __enter__(self) -> StopAfter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def requested(self) -> bool:
        self._left -= 1
        return self._left <= 0


def write_cache(
    folder: Path,
    model: MorphableModel,
    count: int = 96,
    negatives: int = 0,
    parsing: bool = False,
    seed: int = 3,
) -> None:
    """Write what ``tddfa dataset cache`` writes: ``count`` faces, then crops without a face; every 12th of both is held out.

    A face is bright spots at its landmarks, on a color that encodes the head rotation.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    params = random_faces(model, rng, count)
    places = pixels(posed(model.head_landmarks(params), params)) + MARGIN
    total = count + negatives
    turn = np.concatenate([_turn(params), rng.normal(0, 0.25, (negatives, 3))])
    color = np.clip(90 + 150 * turn, 0, 180)[:, None, None]
    noise = rng.integers(0, 40, (total, CACHE_SIDE, CACHE_SIDE, 3))
    images = (color + noise).astype(np.uint8)
    for image, points in zip(images, np.round(places).astype(int), strict=False):
        for x, y in points:
            image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 255
    np.save(folder / "images.npy", images)
    if parsing:
        np.save(folder / "parsing.npy", _class_maps(places, total))
    index = np.arange(total)
    face = index < count
    np.savez(
        folder / "labels.npz",
        params=np.concatenate([params, np.zeros((negatives, params.shape[1]), np.float32)]),
        yaw_deg=np.linspace(-90, 90, total, dtype=np.float32) * face,
        source=np.where(face, "toy", "negative"),
        error=np.ones(total, np.float32),
        face=face,
        weight=np.ones(total, np.float32),
        held_out=np.where(face, index, index - count) % HELD_OUT_EVERY == 0,
        topology_id=model.topology_id,
    )


def _turn(params: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rotation vectors (n, 3)."""
    pose = params[:, :12].reshape(-1, 3, 4)[:, :, :3].astype(np.float64)
    scale = np.cbrt(np.linalg.det(pose))[:, None, None]
    return np.asarray(Rotation.from_matrix(pose / scale).as_rotvec())


def _class_maps(places: NDArray[np.floating[Any]], total: int) -> NDArray[np.uint8]:
    """Class maps: skin within the landmarks, lips within those of the mouth, background elsewhere."""
    maps = np.zeros((total, CACHE_SIDE, CACHE_SIDE), np.uint8)
    for drawn, points in zip(maps, np.round(places).astype(np.int32), strict=False):
        cv2.fillConvexPoly(drawn, cv2.convexHull(points), SKIN)
        cv2.fillConvexPoly(drawn, cv2.convexHull(points[48:]), LIPS)
    return maps
