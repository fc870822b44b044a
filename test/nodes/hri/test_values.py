"""What REP-155 says about a face, in numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.exports import export_face

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES
from tddfa_ros.attributes.estimate import Attributes
from tddfa_ros.attributes.expressions import ACTION_UNITS, EXPRESSIONS, basic_expression
from tddfa_ros.nodes.hri import values as values

SIZE = (640, 480)
CONFIDENCE = 0.8


def test_normalized_points_start_at_image_corner() -> None:
    """The center of the top-left pixel is half a pixel inside; floor(x * width) is the pixel again."""
    points = np.array([[0, 0, 5], [639, 479, 5], [319.5, 239.5, 5], [-0.5, 479.5, 5]])
    found = values.normalized(points, *SIZE)
    np.testing.assert_allclose(
        found, [[0.5 / 640, 0.5 / 480], [639.5 / 640, 479.5 / 480], [0.5, 0.5], [0, 1]], atol=1e-6
    )
    assert np.floor(found[:2] * SIZE).tolist() == [[0, 0], [639, 479]]


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ([159.5, 119.5, 319.5, 359.5], (0.25, 0.25, 0.5, 0.75)),
        ([-100, -100, 319.5, 900], (0, 0, 0.5, 1)),
    ],
)
def test_region_is_clipped_to_image(box: list[float], wanted: tuple[float, ...]) -> None:
    assert values.region(np.array(box), *SIZE) == pytest.approx(wanted, abs=1e-6)


def test_hri_landmarks_are_ibug68_without_pupils() -> None:
    landmarks = export_face().landmarks68
    found = values.facial_landmarks(landmarks, CONFIDENCE, *SIZE)
    assert found.shape == (70, 3)
    np.testing.assert_allclose(found[:68, :2] * SIZE - 0.5, landmarks[:, :2], atol=1e-3)
    assert found[:68, 2] == pytest.approx(CONFIDENCE)
    assert found[68:, 2].tolist() == [0, 0]
    right, left = found[68, :2] * SIZE - 0.5, found[69, :2] * SIZE - 0.5
    np.testing.assert_allclose(right, landmarks[36:42, :2].mean(axis=0), atol=1e-3)
    assert right[0] < left[0], "the person's right is on the left of the image"


def test_pupils_have_their_own_confidence() -> None:
    landmarks = export_face().landmarks68
    pupils = np.array([[300.5, 200.0, 0.7], [700.0, 200.0, 0.9]], np.float32)
    found = values.facial_landmarks(landmarks, CONFIDENCE, *SIZE, pupils)
    np.testing.assert_allclose(found[68] * (*SIZE, 1) - (0.5, 0.5, 0), pupils[0], atol=1e-3)
    assert found[69, 2] == 0, "outside the image"
    assert found[:68, 2] == pytest.approx(CONFIDENCE)


def test_gaze_frame_has_z_along_the_gaze() -> None:
    """In the face frame: x out of the face, y to the person's left, z up."""
    right, down, ahead = values.gaze_rotation([0, 0]).T
    np.testing.assert_allclose([right, down, ahead], [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-9)
    turned = values.gaze_rotation([30, 20])
    assert np.linalg.det(turned) == pytest.approx(1)
    x, y, z = turned[:, 2]
    assert np.degrees([np.arctan2(y, x), np.arcsin(z)]) == pytest.approx([30, 20])
    assert turned[2, 0] == pytest.approx(0), "level"
    assert turned[2, 1] < -0.9


def test_landmarks_outside_image_are_clipped_with_zero_confidence() -> None:
    landmarks = export_face().landmarks68 - [300, 0, 0]
    found = values.facial_landmarks(landmarks, CONFIDENCE, *SIZE)
    outside = landmarks[:, 0] < -0.5
    assert 10 < outside.sum() < 68
    assert (found[:68, 0][outside] == 0).all()
    assert (found[:68, 2] > 0).tolist() == (~outside).tolist()


def test_hri_landmark_codes_match_ibug68() -> None:
    """By names alone: a mirrored face has right for left, and what is called bottom is below what is called top."""
    message = pytest.importorskip(
        "hri_msgs.msg", reason="hri_msgs is not installed"
    ).FacialLandmarks
    codes = {
        name: getattr(message, name)
        for name in dir(type(message))
        if name.isupper() and not name.startswith("_")
    }
    assert sorted(codes.values()) == list(range(values.LANDMARKS))
    found = values.facial_landmarks(export_face().landmarks68, 1.0, *SIZE)[:, :2] * SIZE
    middle = found[27:31, 0].mean()
    pairs = [(code, codes["LEFT" + name[5:]]) for name, code in codes.items() if name.startswith("RIGHT")]  # fmt: skip
    assert len(pairs) == 8 + 5 + 6 + 1
    for right, left in pairs:
        # the synthetic head is not quite symmetric; two points of an eye are 8 px apart
        np.testing.assert_allclose(
            found[left], [2 * middle - found[right, 0], found[right, 1]], atol=3
        )
    for name, top in codes.items():
        if "_TOP_" in name:
            bottom = codes[name.replace("_TOP_", "_BOTTOM_")]
            assert found[bottom, 1] > found[top, 1], name
            assert abs(found[bottom, 0] - found[top, 0]) < 5, name


def test_action_units_are_indexed_by_number() -> None:
    coefficients = {name: COEFFICIENT_RANGES[name.removesuffix("Left").removesuffix("Right")].median for name in ARKIT_NAMES}  # fmt: skip
    smile = COEFFICIENT_RANGES["mouthSmile"]
    half = (smile.median + smile.strong) / 2
    coefficients |= {"mouthSmileLeft": half, "mouthSmileRight": half, "jawOpen": 1.0}
    intensity, confidence = values.action_units(coefficients, CONFIDENCE)
    wanted = np.zeros(99)
    wanted[12], wanted[26] = 0.5, 1.0  # a jaw wide open is beyond 1 and ends there
    np.testing.assert_allclose(intensity, wanted, atol=1e-6)
    told = np.flatnonzero(confidence)
    assert told.tolist() == sorted(ACTION_UNITS)
    assert confidence[told] == pytest.approx(CONFIDENCE)
    assert intensity.dtype == confidence.dtype == np.float32


def test_expression_names_match_ros4hri() -> None:
    assert set(values.EXPRESSIONS) == set(EXPRESSIONS)
    names = set(values.EXPRESSIONS.values())
    assert len(names) == 7
    smiling = dict.fromkeys(ARKIT_NAMES, 0.0) | {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    assert values.EXPRESSIONS[basic_expression(smiling).name] == "happy"
    message = pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed").Expression
    assert names <= {getattr(message, n) for n in dir(type(message)) if n.isupper()}


@pytest.mark.parametrize(("feminine", "female", "gender"), [(0.9, True, 0.9), (0.2, False, 0.8)])
def test_soft_biometrics_have_confidences(feminine: float, female: bool, gender: float) -> None:
    ages = np.zeros(101, np.float32)
    ages[[30, 35, 40, 41, 54]] = 0.2  # mean 40
    found = values.soft_biometrics(Attributes(ages, feminine, None))
    assert found == (40, pytest.approx(0.6), female, pytest.approx(gender))


def test_age_of_small_child() -> None:
    ages = np.zeros(101, np.float32)
    ages[[0, 1]] = 0.5
    found = values.soft_biometrics(Attributes(ages, 0.5, None))
    assert found.age in (0, 1) and found.age_confidence == pytest.approx(1)


@pytest.mark.parametrize("angle", [-40.0, 0.0, 25.0])
def test_aligned_crop_levels_eyes(angle: float) -> None:
    """Two dots on a face that leans: as far apart as before, in one row, about the middle of the square."""
    middle, size = np.array([320.0, 240.0]), 128
    roi = np.array([220.0, 140.0, 420.0, 340.0])
    turn = np.deg2rad(angle)
    across = 40 * np.array([np.cos(turn), np.sin(turn)])
    up = 30 * np.array([np.sin(turn), -np.cos(turn)])
    eyes = np.stack([middle + up - across, middle + up + across])
    image = np.zeros((480, 640, 3), np.uint8)
    for color, eye in zip([(0, 0, 255), (0, 255, 0)], eyes, strict=True):
        cv2.circle(image, np.round(eye).astype(int).tolist(), 6, color, -1)
    landmarks = np.zeros((68, 3))
    landmarks[values.RIGHT_EYE, :2], landmarks[values.LEFT_EYE, :2] = eyes
    found = values.aligned(image, roi, landmarks, size)
    assert found.shape == (size, size, 3)
    scale = size / 200
    for channel, x in ((2, -40), (1, 40)):
        rows, columns = np.nonzero(found[..., channel] > 128)
        # dots were drawn at whole pixels
        assert np.mean(columns) == pytest.approx(size / 2 + x * scale, abs=1)
        assert np.mean(rows) == pytest.approx(size / 2 - 30 * scale, abs=1)
