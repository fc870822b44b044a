"""Irises and gaze, on renderings of heads with painted eyes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ImageError
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize
from tddfa_ros.rendering.iris_fit import find_irises, gaze_direction, iris_color
from tddfa_ros.rendering.irises import with_eyes

SIDE = 240
ROI = np.array([0.0, 0.0, SIDE, SIDE])
BLUE = np.array([150, 110, 60], np.float32)
EYEBALL = 0.0155
"""m, radius of the eyeballs of the model, which are larger than real ones."""


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel.load(default_store().path("tddfa-head"))


@pytest.fixture(scope="module")
def texture(model: MorphableModel) -> np.ndarray:
    skin = np.full((1024, 1024, 3), (150, 175, 210), np.uint8)
    return with_eyes(skin, model, BLUE)


def posed(model: MorphableModel, yaw: float = 0.0, **expression: float) -> Face:
    params = np.zeros(model.layout.size, np.float32)
    pose = params[:12].reshape(3, 4)
    pose[:, :3] = 560 * rotation_from_yaw_pitch_roll(np.array([yaw, 0, 0]))
    pose[:2, 3] = 60
    for name, value in expression.items():
        params[model.layout.expression_slice.start + model.expression_names.index(name)] = value
    return Face(ROI, 1.0, params, ROI, model)


def drawn(face: Face, texture: np.ndarray) -> np.ndarray:
    model, size = face.model, len(texture)
    raster = rasterize(face.vertices, model.triangles, model.uv, (SIDE, SIDE))
    u, v = raster.values[..., 0] * size - 0.5, (1 - raster.values[..., 1]) * size - 0.5
    image = cv2.remap(texture, u, v, cv2.INTER_LINEAR)
    image[~raster.mask] = 128
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6), np.uint8)


def sideways(x: float) -> dict[str, float]:
    """Return the expression of eyes that look to the person's left (1) or right (-1)."""
    out, back = ("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight")
    return dict.fromkeys(out if x > 0 else back, abs(x))


@pytest.mark.parametrize("yaw", [-25, 0, 25])
def test_irises_are_found_where_they_are(
    model: MorphableModel, texture: np.ndarray, yaw: float
) -> None:
    for look in (-0.8, 0.0, 0.8):
        face = posed(model, yaw, **sideways(look))
        irises = find_irises(drawn(face, texture), face)
        for iris, name in zip(irises, ("left_eye", "right_eye"), strict=True):
            ball = model.regions == model.region_names.index(name)
            middle = (model.mean[ball].min(axis=0) + model.mean[ball].max(axis=0)) / 2
            front = ball & (model.mean[:, 2] > middle[2])
            front &= np.linalg.norm((model.mean - middle)[:, :2], axis=1) < 0.005
            true = face.vertices[front, :2].mean(axis=0)
            assert iris.confidence > 0.3
            assert np.linalg.norm(iris.center - true) < 0.65 * iris.radius
            assert iris.radius == pytest.approx(0.0059 * face.image_pose.scale, rel=0.2)


def test_gaze_turns_with_the_eyes_and_not_only_with_the_head(
    model: MorphableModel, texture: np.ndarray
) -> None:
    for yaw in (-20, 0, 20):
        angles = []
        for look in (-1.0, 0.0, 1.0):
            face = posed(model, yaw, **sideways(look))
            gaze, confidence = gaze_direction(
                face, find_irises(drawn(face, texture), face), EYEBALL
            )
            assert np.linalg.norm(gaze) == pytest.approx(1)
            assert confidence > 0.3
            angles.append(float(np.degrees(np.arctan2(gaze[0], -gaze[2]))))
        # To the person's left = right in the image; the full action turns the eyes by about 20 degrees.
        assert angles[0] < angles[1] - 10 and angles[1] < angles[2] - 10
        assert angles[1] == pytest.approx(yaw, abs=8)


def test_closed_eyes_have_no_confidence(model: MorphableModel, texture: np.ndarray) -> None:
    shut = posed(model, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    irises = find_irises(drawn(shut, texture), shut)
    assert max(iris.confidence for iris in irises) < 0.1
    assert iris_color(irises) is None
    gaze, confidence = gaze_direction(shut, irises)
    assert confidence < 0.1
    assert gaze[2] < -0.9


def test_color_of_the_iris(model: MorphableModel, texture: np.ndarray) -> None:
    face = posed(model)
    color = iris_color(find_irises(drawn(face, texture), face))
    assert color is not None
    assert color[0] > color[2] + 30
    assert np.abs(color - BLUE).max() < 60


def test_rejects_invalid_images(model: MorphableModel) -> None:
    with pytest.raises(ImageError):
        find_irises(np.zeros((10, 10), np.uint8), posed(model))
    far = posed(model)
    away = Face(ROI, 1.0, far.params, ROI + 5000, model)
    assert max(i.confidence for i in find_irises(np.zeros((50, 50, 3), np.uint8), away)) == 0
