"""Measure the direction of the gaze on renderings of the mean head with painted eyes, which turn rigidly.

    python benchmarks/gaze.py [--count 20] [--seed 0] [--noise 0]

Prints, by size of the face and yaw of the head, the median errors of the gaze in yaw and pitch and of the direction of the head taken as the gaze,
degrees, the distance of the irises from the true ones, radii, and the CPU time per face.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from tddfa_ros.face import Face
from tddfa_ros.gaze.direction import Gaze, angles, estimate_gaze
from tddfa_ros.gaze.eyes import Eyeball
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize
from tddfa_ros.rendering.irises import EYES, IRIS_RADIUS, with_eyes
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

SIZES = (100, 200, 400)  # px, of the face
YAWS = (0.0, 20.0, 40.0)  # degrees
LARGEST = (25.0, 15.0)  # degrees, of the gaze against the head
FACE_SIZE = 0.155  # m, of the mean head
IRISES = ((58, 82, 112), (30, 40, 55), (150, 110, 60), (110, 140, 120))  # BGR
SKINS = ((150, 175, 210), (70, 95, 140), (180, 200, 230))  # BGR

Estimate = Callable[[ImageBGR, Face, Eyeball], Gaze]


def painted(model: MorphableModel) -> list[ImageBGR]:
    """Paint textures: skin of one color with dark lashes, and eyes."""
    return [
        with_eyes(np.full((1024, 1024, 3), skin, np.uint8), model, np.array(iris, np.float32))
        for iris, skin in zip(IRISES, (*SKINS, SKINS[0]), strict=True)
    ]


def posed(model: MorphableModel, size: float, yaw: float, gaze: Sequence[float]) -> Face:
    """Pose the mean head with eyes that look to the person's left and up, degrees; lids follow."""
    side = int(1.5 * size)
    roi = np.array([0.0, 0.0, side, side])
    params = np.zeros(model.layout.size, np.float32)
    pose = params[:12].reshape(3, 4)
    pose[:, :3] = (
        size / FACE_SIZE * 120 / side * rotation_from_yaw_pitch_roll(np.array([yaw, 0, 0]))
    )
    pose[:2, 3] = 60
    expression = params[model.layout.expression_slice]
    for end in ("Left", "Right"):
        look = "eyeLookUp" if gaze[1] > 0 else "eyeLookDown"
        expression[model.expression_names.index(f"{look}{end}")] = abs(gaze[1]) / 30
    face = Face(roi, 1.0, params, roi, model)
    head = model.head(params)
    left, up = np.radians(gaze)
    turn = np.array([[np.cos(left), 0, np.sin(left)], [0, 1, 0], [-np.sin(left), 0, np.cos(left)]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(up), np.sin(up)], [0, -np.sin(up), np.cos(up)]])
    for name in EYES:
        ball = in_regions(model, (name,))
        center = center_of(model, name)
        head[ball] = (model.mean[ball] - center) @ turn.T + center
    vars(face)["head"] = head
    return face


def center_of(model: MorphableModel, name: str) -> DoubleArray:
    """Return the center (3,) of an eyeball of the mean head."""
    ball = model.mean[in_regions(model, (name,))].astype(np.float64)
    low, high = ball.min(axis=0), ball.max(axis=0)
    return np.array([*(low + high)[:2] / 2, high[2] - (high[0] - low[0]) / 2])


def irises_of(face: Face, gaze: Sequence[float], distance: float) -> DoubleArray:
    """Return the true centers (2, 2), px, of the irises."""
    left, up = np.radians(gaze)
    way = np.array([np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)])
    pose = face.image_pose
    heads = np.array([center_of(face.model, name) + distance * way for name in EYES])
    return np.asarray(
        pose.translation[:2] + pose.scale * (heads @ pose.rotation.T)[:, :2] * [1, -1]
    )


def render(face: Face, texture: ImageBGR, rng: np.random.Generator) -> ImageBGR:
    """Render a textured head on gray with light from the side, blur and noise."""
    side = int(face.roi[2])
    raster = rasterize(face.vertices, face.model.triangles, face.model.uv, (side, side))
    u, v = raster.values[..., 0], 1 - raster.values[..., 1]
    image = cv2.remap(texture, u * len(texture) - 0.5, v * len(texture) - 0.5, cv2.INTER_LINEAR)
    image[~raster.mask] = 128
    light = np.linspace(*rng.uniform(0.6, 1.0, 2), side)[None, :, None]
    out = cv2.GaussianBlur(image.astype(np.float32) * light, (0, 0), 0.7)
    return np.asarray(np.clip(out + rng.normal(0, 3, out.shape), 0, 255), np.uint8)


def with_noise(face: Face, sigma: float, rng: np.random.Generator) -> Face:
    """Return the face as a network would find it, landmarks off by ``sigma`` m."""
    noisy = Face(face.box, 1.0, face.params, face.roi, face.model)
    if sigma > 0:
        points = face.landmarks68.copy()
        points[36:48, :2] += rng.normal(0, sigma * face.image_pose.scale, (12, 2))
        vars(noisy)["landmarks68"] = points
    return noisy


def measure(
    model: MorphableModel, textures: Sequence[ImageBGR], size: int, yaw: float,
    count: int, seed: int, noise: float, estimate: Estimate = estimate_gaze,
) -> FloatArray:  # fmt: skip
    """Return (count, 7): errors of the gaze in yaw and pitch, of the head in both, distance of the irises, confidence, ms of CPU."""
    rng = np.random.default_rng([seed, size, int(yaw)])
    ball = Eyeball.of_model(model, IRIS_RADIUS)
    rows = []
    for i in range(count):
        gaze = rng.uniform(-1, 1, 2) * LARGEST
        face = posed(model, size, yaw * rng.choice([-1, 1]), gaze)
        image = render(face, textures[i % len(textures)], rng)
        seen = with_noise(face, noise, rng)
        begin = time.process_time()
        found = estimate(image, seen, ball)
        spent = 1e3 * (time.process_time() - begin)
        true = irises_of(face, gaze, ball.distance)
        away = [
            np.linalg.norm(iris.center - center) / (IRIS_RADIUS * face.image_pose.scale)
            for iris, center in zip(found.irises, true, strict=True)
            if iris.confidence > 0
        ]
        rows.append(
            [*np.abs(angles(found.in_head) - gaze), *np.abs(gaze), np.mean(away or [np.nan]), found.confidence, spent]
        )  # fmt: skip
    return np.array(rows, np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=20, help="renderings per cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--noise", type=float, default=0.0, help="error of the landmarks of the eyes, mm"
    )
    options = parser.parse_args()
    model = MorphableModel.load(default_store().path("tddfa-head"))
    textures = painted(model)
    print(
        "| face, px | head yaw | yaw error | pitch error | head: yaw | head: pitch | irises, radii | confidence | ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        for yaw in YAWS:
            found = measure(
                model, textures, size, yaw, options.count, options.seed, options.noise / 1e3
            )
            cells = [f"{v:.2f}" for v in np.nanmedian(found, axis=0)]
            print("|", " | ".join([str(size), f"{yaw:.0f}", *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
