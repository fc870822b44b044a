"""Names and order of blend shapes, and the stretch of underestimated coefficients."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.exports import export_face

from tddfa_ros.arkit import COEFFICIENT_RANGES, without_side
from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame, BlendShapes
from tddfa_ros.errors import ConfigError
from tddfa_ros.gaze.track import UNKNOWN, SmoothedGaze
from tddfa_ros.geometry.rotation import rotation_from_quaternion
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel

LEFT_EYE = ["blink", "look_down", "look_in", "look_out", "look_up", "squint", "wide"]


def test_names_follow_live_link_order() -> None:
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    eye = ["eye" + "".join(w.capitalize() for w in name.split("_")) for name in LEFT_EYE]
    assert list(ARKIT_NAMES[:14]) == [f"{n}Left" for n in eye] + [f"{n}Right" for n in eye]
    places = {"jawOpen": 17, "mouthClose": 18, "mouthSmileLeft": 23, "mouthPressRight": 36}
    places |= {"browDownLeft": 41, "browInnerUp": 43, "cheekPuff": 46, "tongueOut": 51}
    assert {name: ARKIT_NAMES.index(name) for name in places} == places


def test_names_match_default_model() -> None:
    model = MorphableModel.load(default_store().path("tddfa-head"))
    assert set(model.expression_names) == set(ARKIT_NAMES)


def test_every_action_unit_has_a_range() -> None:
    assert set(COEFFICIENT_RANGES) == set(map(without_side, ARKIT_NAMES))
    assert all(
        0 <= r.rest <= r.median <= r.strong <= r.full <= 1 for r in COEFFICIENT_RANGES.values()
    )


def test_order_and_limits() -> None:
    names = sorted(ARKIT_NAMES)
    values = np.linspace(-0.5, 1.5, 52).astype(np.float32)
    shapes = BlendShapes(names, stretch=False)(values)
    wanted = dict(zip(names, np.clip(values, 0, 1), strict=True))
    np.testing.assert_allclose(shapes, [wanted[name] for name in ARKIT_NAMES])


def test_stretch_closes_eyes_and_keeps_rest() -> None:
    shapes = BlendShapes(ARKIT_NAMES)
    at = ARKIT_NAMES.index
    rest, closed = np.zeros(52, np.float32), np.zeros(52, np.float32)
    rest[[at("eyeBlinkLeft"), at("jawOpen")]] = (
        COEFFICIENT_RANGES["eyeBlink"].rest,
        COEFFICIENT_RANGES["jawOpen"].rest,
    )
    closed[[at("eyeBlinkLeft"), at("jawOpen")]] = (
        COEFFICIENT_RANGES["eyeBlink"].full,
        COEFFICIENT_RANGES["jawOpen"].full,
    )
    np.testing.assert_allclose(shapes(rest), 0, atol=1e-6)
    np.testing.assert_allclose(shapes(closed)[[at("eyeBlinkLeft"), at("jawOpen")]], 1, atol=1e-6)
    # weak actions, whose noise would grow with them, by 2.5 at most
    weak = np.zeros(52, np.float32)
    weak[at("mouthDimpleLeft")] = COEFFICIENT_RANGES["mouthDimple"].rest + 0.1
    assert shapes(weak)[at("mouthDimpleLeft")] == pytest.approx(0.25)


def test_symmetric_expressions() -> None:
    sides = [n for n in ARKIT_NAMES if re.search("Left$", n) and n.replace("Left", "Right") in ARKIT_NAMES]  # fmt: skip
    assert len(sides) > 15
    values = np.full(52, 0.2, np.float32)
    shapes = dict(zip(ARKIT_NAMES, BlendShapes(ARKIT_NAMES)(values), strict=True))
    assert all(shapes[n] == shapes[n.replace("Left", "Right")] for n in sides)


def test_gaze_replaces_eye_look_of_the_network() -> None:
    values = np.full(52, 0.3, np.float32)
    shapes = BlendShapes(ARKIT_NAMES)
    looks = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
    plain, unknown = shapes(values), shapes(values, UNKNOWN)
    assert len(looks) == 8 and not unknown[looks].any() and plain[looks].any()
    others = np.setdiff1d(np.arange(52), looks)
    np.testing.assert_array_equal(unknown[others], plain[others])
    left = shapes(values, SmoothedGaze(np.array([15.0, 0.0]), 1.0))
    found = {ARKIT_NAMES[i]: left[i] for i in looks if left[i]}
    assert found == pytest.approx({"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5})


def test_rejects_model_with_other_expressions() -> None:
    with pytest.raises(ConfigError, match=r"lacks 52, such as eyeBlinkLeft"):
        BlendShapes([f"expression{i}" for i in range(10)])


def test_frame_has_head_pose() -> None:
    face = export_face(30, stamp=2.5, expression=(0.4,))
    frame = AvatarFrame.from_face(face, BlendShapes(ARKIT_NAMES, stretch=False))
    assert (frame.id, frame.stamp) == ("f1", 2.5)
    turn = rotation_from_quaternion(frame.rotation)
    np.testing.assert_allclose(turn, np.diag([1, -1, -1]) @ face.metric_fit.rotation, atol=1e-9)
    # yaw to the person's own left: the nose, +z of the head, goes to +x, the right of the image
    assert frame.yaw_pitch_roll[0] == pytest.approx(30, abs=4), "near camera"
    assert np.degrees(np.arctan2(turn[0, 2], turn[2, 2])) == pytest.approx(frame.yaw_pitch_roll[0], abs=0.5)  # fmt: skip
    x, y, z = face.head_pose.position
    np.testing.assert_allclose(frame.position, [x, -y, -z])
    assert frame.position[2] < 0
