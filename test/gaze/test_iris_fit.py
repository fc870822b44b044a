"""Irises, on renderings of heads with painted eyes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.gaze_scenes import Draw, Scene

from tddfa_ros.errors import ImageError
from tddfa_ros.face import Face
from tddfa_ros.gaze import find_irises, iris_color
from tddfa_ros.rendering.irises import IRIS_RADIUS


def errors(scene: Scene) -> np.ndarray:
    """Return the larger errors of both irises in x and y, radii."""
    found = [iris.center for iris in find_irises(scene.image, scene.face)]
    away = np.abs(np.array(found) - scene.irises).max(axis=0)
    return np.asarray(away / (IRIS_RADIUS * scene.face.image_pose.scale))


@pytest.mark.parametrize("yaw", [-25, 0, 25])
@pytest.mark.parametrize("gaze", [(-18, 0), (0, 0), (18, 0), (8, 12), (-8, -12)])
def test_iris_position(draw: Draw, yaw: float, gaze: tuple[float, float]) -> None:
    # 0.1 radii are 3 degrees. The lids of these heads do not follow eyes that look up, and hide most of the iris.
    scene = draw(yaw, gaze)
    x, y = errors(scene)
    assert x < 0.16
    assert y < (0.36 if gaze[1] > 0 else 0.24)
    for iris in find_irises(scene.image, scene.face):
        assert iris.radius == pytest.approx(IRIS_RADIUS * scene.face.image_pose.scale, rel=0.12)
        assert iris.confidence > 0.3


def test_lids_over_the_iris_do_not_move_it(draw: Draw) -> None:
    """The upper lid covers a third of the iris."""
    x, y = errors(draw(0, (0, 0), eyeBlinkLeft=0.35, eyeBlinkRight=0.35))
    assert x < 0.06 and y < 0.25


def test_closed_eyes_have_no_confidence(draw: Draw) -> None:
    shut = draw(0, (0, 0), eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    irises = find_irises(shut.image, shut.face)
    assert max(iris.confidence for iris in irises) < 0.1
    assert iris_color(irises) is None


def test_confidence_falls_with_size_turn_and_contrast(draw: Draw) -> None:
    def confidence(scene: Scene, image: np.ndarray | None = None) -> float:
        return float(np.mean([i.confidence for i in find_irises(scene.image if image is None else image, scene.face)]))  # fmt: skip

    plain = draw(0, (5, 0))
    best = confidence(plain)
    assert best > 0.5
    assert confidence(draw(62, (5, 0))) < 0.6 * best
    blurred = cv2.GaussianBlur(plain.image, (0, 0), 4)
    assert confidence(plain, blurred) < 0.6 * best
    assert confidence(plain, np.full_like(plain.image, 90)) == 0
    noise = np.random.default_rng(0).integers(0, 255, plain.image.shape, np.uint8)
    assert confidence(plain, noise) < 0.5 * best
    small = cv2.resize(plain.image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    face = plain.face
    near = Face(face.box / 4, 1.0, face.params, face.roi / 4, face.model)
    assert max(i.confidence for i in find_irises(small, near)) < 0.5 * best


def test_color_of_the_iris(draw: Draw) -> None:
    scene = draw()
    color = iris_color(find_irises(scene.image, scene.face))
    assert color is not None
    assert color[0] > color[2] + 30
    assert np.abs(color - (150, 110, 60)).max() < 60


def test_rejects_invalid_images(draw: Draw) -> None:
    face = draw().face
    with pytest.raises(ImageError):
        find_irises(np.zeros((10, 10), np.uint8), face)
    away = Face(face.box, 1.0, face.params, face.roi + 5000, face.model)
    assert max(i.confidence for i in find_irises(np.zeros((50, 50, 3), np.uint8), away)) == 0
