from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, numbered_image, random_points

from tddfa_ros.evaluation.expression import (
    Scores,
    evaluate,
    eye_closure,
    mouth_opening,
    separation,
)
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets

EYES, MOUTHS = "closed eyes against open: eyeBlink", "yawning against not: jawOpen"


def face(eye_height: float = 4.0, gap: float = 1.0) -> np.ndarray:
    """Landmarks (68, 2) with eyes 10 px wide, an inner mouth 20 px wide, and these heights."""
    points = random_points(1)[0]
    for first, x in ((36, 40.0), (42, 80.0)):
        points[first : first + 6, 0] = x + np.array([0, 3, 7, 10, 7, 3])
        points[first : first + 6, 1] = 50 + eye_height / 2 * np.array([0, -1, -1, 0, 1, 1])
    points[60:68, 0] = 50 + np.array([0, 5, 10, 15, 20, 15, 10, 5])
    points[60:68, 1] = 100 + gap / 2 * np.array([0, -1, -1, -1, 0, 1, 1, 1])
    return points


def test_eye_and_mouth_aspect_ratios() -> None:
    faces = np.stack([face(4.0, 1.0), face(1.0, 15.0)])
    np.testing.assert_allclose(eye_closure(faces), [-0.4, -0.1], atol=1e-6)
    np.testing.assert_allclose(mouth_opening(faces), [0.05, 0.75], atol=1e-6)


def test_auc_of_separable_groups() -> None:
    high, low = np.array([0.7, 0.9]), np.array([0.1, 0.2, 0.3])
    figures = separation(Scores(high, high, None), Scores(low, high[:1], None))
    assert figures["AUC"] == 1.0
    assert figures["AUC mesh landmarks"] == pytest.approx(0.75)
    assert "AUC direct landmarks" not in figures
    assert (figures["median yes"], figures["median no"]) == (pytest.approx(0.8), 0.2)


def write_group(root: Path, source: str, paths: list[str], splits: list[str], first: int) -> None:
    names = []
    for i in range(len(paths)):
        names.append(f"{source}/{i}.png")
        numbered_image(root / "faces" / "img" / names[-1], first + i, (192, 192))
    np.savez(
        root / "faces" / f"{source}.npz",
        name=np.array(names),
        path=np.array(paths),
        split=np.array(splits),
        roi=np.tile(np.float32([36, 36, 156, 156]), (len(names), 1)),
    )


def test_groups_hold_held_out_faces_only(tmp_path: Path) -> None:
    write_group(tmp_path, "cew", ["a", "b"], ["eval", "train"], 0)
    write_group(tmp_path, "lfw", ["a", "b"], ["eval", "train"], 2)
    write_group(tmp_path, "yawn", ["x/yawn/1.jpg", "x/no-yawn/1.jpg"], ["eval", "eval"], 4)
    blinks = {0: (0.8, 0.6), 2: (0.0, 0.2)}
    faces = []
    for number in range(6):
        left, right = blinks.get(number, (0.5, 0.5))
        said = {
            "eyeBlinkLeft": left,
            "eyeBlinkRight": right,
            "jawOpen": 0.9 if number == 4 else 0.1,
        }
        faces.append(Prediction(face(1.0 if number == 0 else 4.0), expression=said))
    fake = FakePredictor(faces)
    result = evaluate(fake, Sets(tmp_path))
    assert sorted(number for number, _ in fake.asked) == [0, 2, 4, 5]
    assert all(roi.tolist() == [36, 36, 156, 156] for _, roi in fake.asked)
    assert result.figure(EYES, "AUC") == 1.0
    assert result.figure(EYES, "AUC mesh landmarks") == 1.0
    assert result.figure(EYES, "median yes") == pytest.approx(0.7)
    assert result.figure(MOUTHS, "AUC") == 1.0
    assert result.figure(MOUTHS, "AUC mesh landmarks") == 0.5


def test_landmarks_only_without_coefficients(tmp_path: Path) -> None:
    for first, source in enumerate(("cew", "lfw", "yawn")):
        write_group(tmp_path, source, ["no-yawn/1", "yawn/1"], ["eval", "eval"], 2 * first)
    result = evaluate(
        FakePredictor([Prediction(face(), expression={"exp0": 1.0})] * 6), Sets(tmp_path)
    )
    assert result.figure(EYES, "AUC") is None
    assert result.figure(EYES, "AUC mesh landmarks") == 0.5
