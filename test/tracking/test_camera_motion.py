from __future__ import annotations

import cv2
import numpy as np
import pytest

from tddfa_ros.tracking.camera_motion import CameraMotion


def scene(width: int = 640, height: int = 480, margin: int = 100) -> np.ndarray:
    """A background with structure of many sizes, larger than the image by a margin."""
    rng = np.random.default_rng(3)
    size = (height + 2 * margin, width + 2 * margin)
    coarse = rng.integers(0, 255, (size[0] // 24, size[1] // 24, 3)).astype(np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def view(background: np.ndarray, dx: int, dy: int, margin: int = 100) -> np.ndarray:
    """The image in which the background has moved by (dx, dy)."""
    height, width = background.shape[0] - 2 * margin, background.shape[1] - 2 * margin
    return background[margin - dy : margin - dy + height, margin - dx : margin - dx + width]


@pytest.mark.parametrize(("dx", "dy"), [(30, -18), (-44, 12), (5, 3), (0, 0)])
@pytest.mark.parametrize("width", [640, 1920])
def test_translation_is_measured(dx: int, dy: int, width: int):
    background = scene(width, width * 3 // 4)
    motion = CameraMotion()
    motion(view(background, 0, 0))
    np.testing.assert_allclose(motion(view(background, dx, dy)), [dx, dy], atol=0.004 * width)


def test_moving_face_before_a_still_background_is_no_camera_motion():
    background = view(scene(), 0, 0)
    motion = CameraMotion()
    for x in (200, 240, 280):
        image = background.copy()
        cv2.circle(image, (x, 240), 60, (90, 120, 200), -1)
        found = motion(image)
    np.testing.assert_allclose(found, 0.0, atol=2.0)


@pytest.mark.parametrize(
    "second", [np.full((480, 640, 3), 90, np.uint8), np.zeros((240, 320, 3), np.uint8)]
)
def test_image_without_structure_or_of_another_size_gives_zero(second: np.ndarray):
    motion = CameraMotion()
    motion(view(scene(), 0, 0))
    np.testing.assert_array_equal(motion(second), 0.0)


def test_unrelated_images_give_zero():
    """A cut to another scene is no motion."""
    motion = CameraMotion()
    motion(view(scene(), 0, 0))
    np.testing.assert_array_equal(motion(view(scene(), 0, 0)[::-1, ::-1].copy()), 0.0)


def test_thumbnail_restores_the_state():
    background = scene()
    first, second = CameraMotion(), CameraMotion()
    first(view(background, 0, 0))
    second.thumbnail = first.thumbnail
    image = view(background, 20, 10)
    np.testing.assert_array_equal(first(image), second(image))
