from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.posed import posed, random_faces

from tddfa_ros.model_builder.locate import MIRROR68
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.framing import ParamMirror


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def faces(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(1), 12, expressions=10)


@pytest.fixture(scope="module")
def mirror(model: MorphableModel) -> ParamMirror:
    return ParamMirror(model)


def test_mirroring_twice_is_identity(mirror: ParamMirror, faces: np.ndarray) -> None:
    np.testing.assert_allclose(mirror(mirror(faces)), faces, atol=2e-3)
    once = mirror(faces)
    assert np.abs(once - faces).max() > 0.1
    assert once.dtype == np.float32


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mirrored_landmarks_swap_sides(
    model: MorphableModel, mirror: ParamMirror, faces: np.ndarray, share: float
) -> None:
    """Crop pixel x maps to 119 - x, and each landmark to its partner."""
    faces = faces.copy()
    faces[:, model.layout.expression_slice] *= share
    mirrored = mirror(faces)
    before = posed(model.head_landmarks(faces), faces)
    after = posed(model.head_landmarks(mirrored), mirrored)
    expected = before[:, MIRROR68] * [-1, 1, 1] + [121, 0, 0]
    # landmarks are mirror images to 0.1 mm = 0.06 px, those in the middle lie up to 0.4 mm beside it; the source's two-sided actions
    # differ by up to 4 %
    assert np.abs(after - expected).max() < 0.5 + share
    assert np.abs(after - expected).mean() < 0.02 + 0.04 * share


def test_mirrored_pose_is_a_rotation(mirror: ParamMirror, faces: np.ndarray) -> None:
    pose = mirror(faces)[:, :12].reshape(-1, 3, 4)[:, :, :3]
    assert (np.linalg.det(pose) > 0).all()


def test_batch_matches_single_face_and_input_is_kept(
    mirror: ParamMirror, faces: np.ndarray
) -> None:
    original = faces.copy()
    np.testing.assert_allclose(mirror(faces[3]), mirror(faces)[3], atol=1e-5)
    np.testing.assert_array_equal(faces, original)


def test_expressions_swap_by_name(model: MorphableModel, mirror: ParamMirror) -> None:
    layout, names = model.layout, model.expression_names
    face = np.zeros(layout.size, np.float32)
    face[layout.expression_slice][names.index("eyeBlinkLeft")] = 0.7
    face[layout.expression_slice][names.index("jawOpen")] = 0.4
    out = mirror(face)[layout.expression_slice]
    assert {names[i]: round(float(out[i]), 3) for i in np.flatnonzero(out)} == {
        "eyeBlinkRight": 0.7,
        "jawOpen": 0.4,
    }
