"""Images that calibrate int8 networks: rendered heads of the default morphable model over noise, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.model_sheet import region_colors
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import lambert, vertex_normals
from tddfa_ros.types import POSE_SIZE, FloatArray, ImageBGR, ParamLayout

if TYPE_CHECKING:
    from tddfa_ros.types import DoubleArray

SCENES = 48
SIDE = 256
"""Number of the images, and their sides, px."""

_NOISE_CELLS = (2, 8, 32, 128)  # px, of the octaves of the background
_GRAY_LEVELS = 255


class Scene(NamedTuple):
    """A rendered head: image (SIDE, SIDE, 3) uint8 BGR, and its 68 landmarks (68, 3), px."""

    image: ImageBGR
    landmarks: FloatArray


def scenes(model: MorphableModel, count: int = SCENES, seed: int = 0) -> Iterator[Scene]:
    """Render heads of random identity, expression, pose (yaw within 80 degrees), skin, light, blur and sensor noise over random noise.

    Args:
        model: morphable model with regions, such as tddfa-head.
        count: number of images.
        seed: of the random numbers; equal seeds give equal images.
    """
    colors = region_colors(model)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        pixels, shade = _posed(model, rng)
        skin = np.float32(rng.uniform(0.25, 1.1)) * np.array([0.75, 0.85, 1.0]) ** rng.uniform(0, 3)
        lit = np.clip(colors * skin * (0.15 + 0.95 * shade[:, None]), 0, 1) * _GRAY_LEVELS
        raster = rasterize(
            pixels, model.triangles, lit.astype(np.float32), (SIDE, SIDE), cull_backfaces=True
        )
        image = np.where(raster.mask[..., None], raster.values, _background(rng))
        image += rng.normal(0, rng.uniform(0, 8), image.shape)
        blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.4, 1.2))
        done = np.clip(blurred, 0, _GRAY_LEVELS).astype(np.uint8)
        yield Scene(done, model.landmarks_of(pixels))


@lru_cache(maxsize=1)
def calibration_scenes(morphable: Path) -> tuple[Scene, ...]:
    """Render the :data:`SCENES` images for calibration with the morphable model of a file, once in a process."""
    from tqdm import tqdm

    heads = scenes(MorphableModel.load(morphable))
    return tuple(
        tqdm(heads, desc="rendering", total=SCENES, unit="image", disable=None, leave=False)
    )


def _posed(model: MorphableModel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the vertices (N, 3), px, z nearer = larger, and the brightness (N,) of a random head."""
    layout: ParamLayout = model.layout
    identity = rng.normal(0, 1, layout.shape).clip(-2.5, 2.5)
    shown = rng.random(layout.expression) < 0.15
    expression = rng.uniform(0, 1, layout.expression) * shown
    params = np.concatenate([np.zeros(POSE_SIZE), identity, expression])
    angles = [rng.normal(0, 15), rng.uniform(-25, 25), rng.uniform(-80, 80)]
    rotation: DoubleArray = Rotation.from_euler("zxy", angles, degrees=True).as_matrix()
    head = model.head(params.astype(np.float32))
    turned = ((head - head.mean(axis=0)) @ rotation.T).astype(np.float32)
    x, y, z = rng.normal(0, 0.6, 3) + [0, 0.3, 1]
    normals = vertex_normals(turned, model.triangles)
    shade = lambert(
        normals, rng.uniform(0.2, 0.6), rng.uniform(0, 0.4), (float(x), float(y), float(z))
    )
    scale = SIDE * rng.uniform(0.5, 0.75) / np.ptp(turned[:, 1])
    pixels = turned * np.array([1, -1, 1]) * scale + [SIDE / 2, SIDE / 2, 0]
    return pixels.astype(np.float32), shade


def _background(rng: np.random.Generator) -> FloatArray:
    """Return noise of several octaves, (SIDE, SIDE, 3) float32, about 0..255."""
    sum_of_octaves = np.zeros((SIDE, SIDE, 3), np.float32)
    for cell in _NOISE_CELLS:
        coarse = rng.uniform(0, _GRAY_LEVELS, (SIDE // cell, SIDE // cell, 3)).astype(np.float32)
        octave = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        sum_of_octaves += octave * np.float32(rng.uniform(0, 0.5))
    return sum_of_octaves
