"""A small dataset in a user's layout: images that encode pixel positions, params, ROIs, maps, a list."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from support.posed import random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.render import RenderOptions, render_lists

HEIGHT, WIDTH = 240, 250
ROI = np.array([50.0, 40.0, 200.0, 190.0], np.float32)


def gradient(height: int = HEIGHT, width: int = WIDTH, red: int = 0) -> NDArray[np.uint8]:
    """An image whose blue and green encode x and y."""
    v, u = np.mgrid[:height, :width]
    return np.stack([u, v, np.full_like(u, red)], axis=2).astype(np.uint8)


def write_dataset(
    root: Path, model: MorphableModel, count: int = 4, rois: bool = True, maps: bool = False
) -> Path:
    """Write items 0001, 0002, ... and ``all.list``, and return the path of the list."""
    for folder in ("images", "params", *(["rois"] if rois else [])):
        (root / folder).mkdir(parents=True)
    names = [f"{i + 1:04d}" for i in range(count)]
    params = random_faces(model, np.random.default_rng(1), count)
    for i, name in enumerate(names):
        cv2.imwrite(str(root / "images" / f"{name}.png"), gradient(red=10 * i))
        np.save(root / "params" / f"{name}.npy", params[i])
        if rois:
            np.save(root / "rois" / f"{name}.npy", ROI)
    path = root / "all.list"
    path.write_text("\n".join(names) + "\n")
    if maps:
        render_lists(path, model, root, RenderOptions(uv_size=16))
    return path
