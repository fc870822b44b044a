"""Heads with painted eyes that turn rigidly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.face import Face
from tddfa_ros.gaze.eyes import Eyeball
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize
from tddfa_ros.rendering.irises import EYES, IRIS_RADIUS, with_eyes
from tddfa_ros.rendering.protocols import in_regions

SIDE = 240
BLUE = np.array([150, 110, 60], np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A rendered face, the true centers (2, 2), px, of its irises, and its eyeballs."""

    image: np.ndarray
    face: Face
    irises: np.ndarray
    ball: Eyeball


Draw = Callable[..., Scene]


def renderer() -> Draw:
    """Return a function that renders the mean head: ``draw(yaw, gaze)``, degrees, the gaze against the head to the person's left and up; coefficients by name."""
    model = MorphableModel.load(default_store().path("tddfa-head"))
    texture = with_eyes(np.full((1024, 1024, 3), (150, 175, 210), np.uint8), model, BLUE)
    ball = Eyeball.of_model(model, IRIS_RADIUS)

    def drawn(yaw: float = 0.0, gaze: tuple[float, float] = (0, 0), **expression: float) -> Scene:
        params = np.zeros(model.layout.size, np.float32)
        pose = params[:12].reshape(3, 4)
        pose[:, :3] = 560 * rotation_from_yaw_pitch_roll(np.array([yaw, 0, 0]))
        pose[:2, 3] = 60
        for name, value in expression.items():
            params[model.layout.expression_slice][model.expression_names.index(name)] = value
        roi = np.array([0.0, 0.0, SIDE, SIDE])
        face = Face(roi, 1.0, params, roi, model)
        head, centers = model.head(params), []
        left, up = np.radians(gaze)
        turn = rotation_from_yaw_pitch_roll(np.array([gaze[0], -gaze[1], 0]))
        way = np.array([np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)])
        np.testing.assert_allclose(turn[:, 2], way, atol=1e-9)
        for name in EYES:
            vertices = in_regions(model, (name,))
            low, high = model.mean[vertices].min(axis=0), model.mean[vertices].max(axis=0)
            middle = np.array([*(low + high)[:2] / 2, high[2] - (high[0] - low[0]) / 2])
            head[vertices] = (model.mean[vertices] - middle) @ turn.T + middle
            centers.append(middle + ball.distance * way)
        vars(face)["head"] = head
        found = face.image_pose
        irises = found.translation[:2] + found.scale * (np.array(centers) @ found.rotation.T)[:, :2] * [1, -1]  # fmt: skip
        raster = rasterize(face.vertices, model.triangles, model.uv, (SIDE, SIDE))
        u, v = raster.values[..., 0] * 1024 - 0.5, (1 - raster.values[..., 1]) * 1024 - 0.5
        image = cv2.remap(texture, u, v, cv2.INTER_LINEAR)
        image[~raster.mask] = 128
        return Scene(np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6)), face, irises, ball)

    return drawn
