"""Measure the direction of the gaze on renderings of the mean head with painted eyes.

    python benchmarks/gaze.py [--count 40] [--seed 0]

Prints the error of the gaze and of the direction of the head, degrees, and of the centers of the irises, in radii.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize
from tddfa_ros.rendering.iris_fit import find_irises, gaze_direction
from tddfa_ros.rendering.irises import EYES, with_eyes
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

SIDE = 240  # px
YAW = 30.0  # degrees, largest
EYEBALL = 0.0155  # m, radius of the eyeballs of the model
DOWN = np.array([1, -1, -1])  # y up, toward the viewer -> camera optical frame


def expression(model: MorphableModel, left: float, up: float) -> FloatArray:
    """Return coefficients (E,) of eyes that look to the person's left and up, each -1..1."""
    sideways = ("eyeLookOutLeft", "eyeLookInRight") if left > 0 else ("eyeLookInLeft", "eyeLookOutRight")  # fmt: skip
    vertical = "eyeLookUp" if up > 0 else "eyeLookDown"
    values = dict.fromkeys(sideways, abs(left)) | {f"{vertical}{s}": abs(up) for s in ("Left", "Right")}  # fmt: skip
    out = np.zeros(len(model.expression_names), np.float32)
    for name, value in values.items():
        out[model.expression_names.index(name)] = value
    return out


def render(face: Face, texture: ImageBGR) -> ImageBGR:
    """Render a textured head on gray."""
    raster = rasterize(face.vertices, face.model.triangles, face.model.uv, (SIDE, SIDE))
    u, v = raster.values[..., 0], 1 - raster.values[..., 1]
    image = cv2.remap(texture, u * len(texture) - 0.5, v * len(texture) - 0.5, cv2.INTER_LINEAR)
    image[~raster.mask] = 128
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6), np.uint8)


def iris_of(face: Face, name: str) -> tuple[DoubleArray, DoubleArray]:
    """Return the direction (3,) of an eye in the model frame, and the center (2,) px of its iris."""
    model = face.model
    ball = np.flatnonzero(model.regions == model.region_names.index(name))
    middle = (model.mean[ball].min(axis=0) + model.mean[ball].max(axis=0)) / 2
    away = np.linalg.norm((model.mean[ball] - middle)[:, :2], axis=1)
    iris = ball[(model.mean[ball, 2] > middle[2]) & (away < 0.005)]
    way = (face.head[iris].mean(axis=0) - middle).astype(np.float64)
    return way / np.linalg.norm(way), face.vertices[iris, :2].mean(axis=0).astype(np.float64)


def angle(a: DoubleArray, b: DoubleArray) -> float:
    """Return the angle between unit vectors, degrees."""
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    model = MorphableModel.load(default_store().path("tddfa-head"))
    texture = with_eyes(np.full((1024, 1024, 3), (150, 175, 210), np.uint8), model)
    roi = np.array([0.0, 0.0, SIDE, SIDE])
    errors: dict[str, list[float]] = {"gaze": [], "head as gaze": [], "iris center, radii": []}
    for _ in range(options.count):
        params = np.zeros(model.layout.size, np.float32)
        turn = rotation_from_yaw_pitch_roll(np.array([rng.uniform(-YAW, YAW), 0, 0]))
        pose = params[:12].reshape(3, 4)
        pose[:, :3], pose[:2, 3] = 560 * turn, 60
        params[model.layout.expression_slice] = expression(model, *rng.uniform(-1, 1, 2))
        face = Face(roi, 1.0, params, roi, model)
        irises = find_irises(render(face, texture), face)
        gaze, _ = gaze_direction(face, irises, EYEBALL)
        true = [iris_of(face, name) for name in EYES]
        way = np.mean([w for w, _ in true], axis=0)
        way = (turn @ (way / np.linalg.norm(way))) * DOWN
        errors["gaze"].append(angle(gaze, way))
        errors["head as gaze"].append(angle((turn @ [0, 0, 1.0]) * DOWN, way))
        for iris, (_, center) in zip(irises, true, strict=True):
            errors["iris center, radii"].append(
                float(np.linalg.norm(iris.center - center)) / iris.radius
            )
    for name, values in errors.items():
        print(f"{name}: median {np.median(values):.2f}, 90 % below {np.quantile(values, 0.9):.2f}")


if __name__ == "__main__":
    main()
