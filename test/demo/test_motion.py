"""Registration of views to their still image, for known motion."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tddfa_ros.demo.motion import demo_photo, invert, photo_motion


def view(i):
    """Map px of the still image to px of the view: pan, zoom and roll, as in the demo source."""
    angle, scale = 0.12 * np.sin(i / 7), 1.35 + 0.35 * np.sin(i / 11)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[c, -s, 0], [s, c, 0]])
    center = np.array([240 + 60 * np.sin(i / 5), 200 + 30 * np.cos(i / 6)])
    matrix[:, 2] = np.array([320, 240]) - matrix[:, :2] @ center
    return matrix


@pytest.fixture(scope="module")
def photo():
    found = demo_photo()
    if found is None:
        pytest.skip("scikit-image, whose wheel contains the portrait, is not installed")
    return found


def recording_of(images):
    stamps = np.arange(len(images), dtype=np.int64) * 33_000_000
    return SimpleNamespace(
        image_stamps=stamps,
        images=lambda: iter(zip(stamps.tolist(), images, strict=True)),
    )


def test_motion_accuracy(photo):
    rng = np.random.default_rng(0)
    images = []
    for i in range(12):
        image = cv2.warpAffine(photo, view(4 * i), (640, 480), flags=cv2.INTER_LINEAR)
        noisy = image.astype(float) + rng.normal(0, 2, image.shape)
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
    motion = photo_motion(recording_of(images), photo)
    assert len(motion) == 12
    corners = np.array([[200, 100], [440, 100], [440, 380], [200, 380]], float)
    for i, found in enumerate(motion.values()):
        true = invert(view(4 * i))
        error = (corners @ found[:, :2].T + found[:, 2]) - (corners @ true[:, :2].T + true[:, 2])
        assert np.linalg.norm(error, axis=1).max() < 0.1


def test_unrelated_image_is_not_registered(photo):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    shown = cv2.warpAffine(photo, view(3), (640, 480))
    motion = photo_motion(recording_of([noise, shown, noise, shown]), photo)
    assert list(motion) == [33_000_000, 99_000_000]


def test_invert_similarity():
    affine = view(9)
    point = np.array([33.0, 44.0])
    there = affine[:, :2] @ point + affine[:, 2]
    back = invert(affine)
    np.testing.assert_allclose(back[:, :2] @ there + back[:, 2], point)
