"""Direction of the gaze and ARKit's eyeLook coefficients."""

from __future__ import annotations

import numpy as np
import pytest
from support.gaze_scenes import Draw

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.gaze import Gaze, Iris, estimate_gaze, eye_look
from tddfa_ros.gaze.track import HOLD, UNKNOWN, GazeTracks


@pytest.mark.parametrize("yaw", [-20, 0, 20])
@pytest.mark.parametrize("gaze", [(-18, 0), (0, 0), (18, 0), (0, 12), (0, -12)])
def test_gaze_against_head(draw: Draw, yaw: float, gaze: tuple[float, float]) -> None:
    scene = draw(yaw, gaze)
    found = estimate_gaze(scene.image, scene.face, scene.ball)
    assert found.yaw_pitch[0] == pytest.approx(gaze[0], abs=2)
    assert found.yaw_pitch[1] == pytest.approx(gaze[1], abs=7)
    assert np.sign(np.rint(found.yaw_pitch[1] / 4)) == np.sign(gaze[1])
    assert found.confidence > 0.3
    assert np.linalg.norm(found.direction) == pytest.approx(1)
    # To the person's left = right in the image.
    if gaze[1] == 0:
        sideways = np.degrees(np.arctan2(found.direction[0], -found.direction[2]))
        assert sideways == pytest.approx(yaw + gaze[0], abs=4)


def test_gaze_of_closed_eyes_is_that_of_the_head(draw: Draw) -> None:
    scene = draw(30, (10, 0), eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    found = estimate_gaze(scene.image, scene.face, scene.ball)
    assert found.confidence < 0.1
    gray = estimate_gaze(np.full_like(scene.image, 90), scene.face)
    assert gray.confidence == 0
    np.testing.assert_allclose(gray.direction, [0.5, 0, -np.sqrt(0.75)], atol=1e-3)
    np.testing.assert_allclose(gray.in_head, [0, 0, 1])


def test_eye_look_names_and_signs() -> None:
    left_up = eye_look((15, 6))
    assert set(left_up) == {name for name in ARKIT_NAMES if name.startswith("eyeLook")}
    known = {name: value for name, value in left_up.items() if value}
    assert known == pytest.approx(
        {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookUpLeft": 0.2, "eyeLookUpRight": 0.2}
    )
    right_down = {name: value for name, value in eye_look((-60, -3)).items() if value}
    assert right_down == pytest.approx(
        {"eyeLookInLeft": 1, "eyeLookOutRight": 1, "eyeLookDownLeft": 0.1, "eyeLookDownRight": 0.1}
    )
    assert not any(eye_look((0, 0)).values())


def seen(yaw: float, pitch: float, confidence: float = 1.0) -> Gaze:
    left, up = np.radians([yaw, pitch])
    way = np.array([np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)])
    iris = Iris(np.zeros(2), 5.0, np.zeros(3, np.float32), confidence, np.zeros(2))
    return Gaze(way, way, confidence, (iris, iris))


def test_jitter_is_smoothed_and_saccades_are_immediate() -> None:
    rng = np.random.default_rng(0)
    tracks, noise = GazeTracks(), rng.normal(0, 2, (60, 2))
    rest = [tracks.update("f1", i / 30, seen(*n)).yaw_pitch for i, n in enumerate(noise)]
    assert np.std(rest[10:]) < 0.75 * np.std(noise[10:])
    jumped = tracks.update("f1", 2.0, seen(25, 0))
    np.testing.assert_allclose(jumped.yaw_pitch, [25, 0], atol=1e-6)


def test_gaze_is_held_through_a_blink_and_then_unknown() -> None:
    tracks = GazeTracks()
    tracks.update("f1", 1.0, seen(20, -10))
    blink = tracks.update("f1", 1.0 + 0.9 * HOLD, seen(0, 0, confidence=0.05))
    np.testing.assert_allclose(blink.yaw_pitch, [20, -10], atol=1e-6)
    assert blink.confidence == pytest.approx(1)
    fading = tracks.at("f1", 1.0 + 1.5 * HOLD)
    np.testing.assert_allclose(fading.yaw_pitch, [10, -5], atol=1e-6)
    assert fading.confidence == pytest.approx(0.5)
    assert tracks.at("f1", 1.0 + 2.1 * HOLD) is UNKNOWN
    assert tracks.at("f1", 0.5) is UNKNOWN and tracks.at("f2", 1.0) is UNKNOWN
    tracks.keep([])
    assert tracks.at("f1", 1.0) is UNKNOWN
