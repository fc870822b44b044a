from __future__ import annotations

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import SourceError
from tddfa_ros.sources import virtual_camera
from tddfa_ros.sources.virtual_camera import PERIOD, VirtualCamera, demo_camera

TIMES = np.linspace(0, PERIOD, 451)
HEAD = np.array([[150, 18], [305, 18], [305, 195], [150, 195]], float)
"""Box of the head, hair included, in the portrait."""


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (512, 512), interpolation=cv2.INTER_CUBIC))


def apply(similarity: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ similarity[:, :2].T + similarity[:, 2]


def test_views_are_similarities(photo: np.ndarray) -> None:
    camera = VirtualCamera(photo)
    for seconds in TIMES:
        linear = camera.similarity(seconds)[:, :2]
        scale = np.sqrt(np.linalg.det(linear))
        np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-9)


def test_motion_pans_zooms_and_rolls(photo: np.ndarray) -> None:
    camera = VirtualCamera(photo)
    views = np.array([camera.similarity(s) for s in TIMES])
    scale = np.sqrt(np.linalg.det(views[:, :, :2]))
    angle = np.degrees(np.arctan2(views[:, 1, 0], views[:, 0, 0]))
    middle = np.array([apply(v, np.array([[255.5, 255.5]]))[0] for v in views])
    assert scale.max() / scale.min() > 1.4
    assert angle.max() > 15 and angle.min() < -15
    assert (np.ptp(middle, axis=0) > (150, 60)).all()


def test_motion_is_smooth_and_periodic(photo: np.ndarray) -> None:
    camera = VirtualCamera(photo)
    corners = np.array([[200, 200], [312, 200], [312, 312], [200, 312]], float)
    track = np.array([apply(camera.similarity(s), corners) for s in TIMES])
    steps = np.linalg.norm(np.diff(track, axis=0), axis=-1)
    assert steps.max() < 8, "px per frame at 30 Hz"
    changes = np.linalg.norm(np.diff(track, n=2, axis=0), axis=-1)
    assert changes.max() < 0.5, "px per frame and frame: no jerks"
    np.testing.assert_allclose(camera.similarity(0), camera.similarity(PERIOD), atol=1e-9)
    np.testing.assert_allclose(camera.similarity(1.3), camera.similarity(1.3 + 2 * PERIOD), atol=1e-9)  # fmt: skip


def test_views_are_reproducible(photo: np.ndarray) -> None:
    first, second = VirtualCamera(photo), VirtualCamera(photo)
    first.read(3.0)
    for seconds in (0.0, 4.56):
        np.testing.assert_array_equal(first.read(seconds).image, second.read(seconds).image)
    assert (first.read(1.0).image != first.read(1.1).image).any()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (320, 240)])
def test_view_matches_similarity(photo: np.ndarray, width: int, height: int) -> None:
    camera = VirtualCamera(photo, width, height)
    image = camera.read(5.0).image
    assert image.shape == (height, width, 3)
    back = cv2.invertAffineTransform(camera.similarity(5.0))
    for x, y in ((100, 100), (width // 2, height // 2), (width - 100, height - 60)):
        u, v = apply(back, np.array([[x, y]], float))[0]
        sample = cv2.getRectSubPix(photo, (1, 1), (float(u), float(v)))
        np.testing.assert_allclose(image[y, x], sample[0, 0], atol=12)


def test_intrinsics_are_constant_and_calibrated(photo: np.ndarray) -> None:
    camera = VirtualCamera(photo, 640, 480)
    frames = [camera.read(s) for s in (0.0, 7.0)]
    assert frames[0].intrinsics == frames[1].intrinsics or np.array_equal(
        frames[0].intrinsics.k, frames[1].intrinsics.k
    )
    assert not frames[0].intrinsics.assumed
    assert (frames[0].intrinsics.width, frames[0].intrinsics.height) == (640, 480)


def test_ends_after_one_period_without_loop(photo: np.ndarray) -> None:
    camera = VirtualCamera(photo, loop=False)
    assert camera.read(PERIOD - 0.01) is not None
    assert camera.read(PERIOD) is None
    assert VirtualCamera(photo).read(PERIOD) is not None


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (480, 640)])
def test_head_stays_in_view(astronaut_path: object, width: int, height: int) -> None:
    camera = demo_camera(width, height)
    for seconds in TIMES:
        head = apply(camera.similarity(seconds), HEAD)
        # A rolled box has corners where no hair is: its middle half counts.
        head = head.mean(axis=0) + 0.85 * (head - head.mean(axis=0))
        assert (head > -0.5).all(), seconds
        assert (head < (width - 0.5, height - 0.5)).all(), seconds


def test_missing_demo_image_prints_install_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_camera.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceError, match="pip install scikit-image"):
        demo_camera()
