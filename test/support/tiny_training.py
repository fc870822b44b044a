"""A training cache small enough for a test: bright spots at the landmarks of random faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.posed import pixels, posed, random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN


def write_cache(folder: Path, model: MorphableModel, count: int = 96) -> None:
    """Write what :func:`tddfa_ros.training.cache.build_cache` writes."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    params = random_faces(model, rng, count)
    places = pixels(posed(model.head_landmarks(params), params)) + MARGIN
    images = rng.integers(0, 60, (count, CACHE_SIDE, CACHE_SIDE, 3), dtype=np.uint8)
    for image, points in zip(images, np.round(places).astype(int), strict=True):
        for x, y in points:
            image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 255
    np.save(folder / "images.npy", images)
    np.savez(
        folder / "labels.npz",
        params=params,
        yaw_deg=np.linspace(-90, 90, count, dtype=np.float32),
        source=np.full(count, "toy"),
        error=np.ones(count, np.float32),
        topology_id=model.topology_id,
    )
