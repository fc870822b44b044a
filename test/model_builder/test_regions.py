from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.model_builder.regions import _MOVED_BY, REGION_NAMES, label_regions
from tddfa_ros.morphable import MorphableModel

PARTS = {"left_eye": "eye_front.L", "right_eye": "eye_back.R", "inner_mouth": "mouth_cavity"}


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def landmarks(model: MorphableModel) -> np.ndarray:
    return model.head_landmarks(np.zeros(model.layout.size, np.float32)).astype(np.float64)


@pytest.fixture(scope="module")
def labels(model: MorphableModel, landmarks: np.ndarray) -> np.ndarray:
    """Regions by name, where the only local change is one that moves what lies near the middle of the upper lip."""
    names = np.array(model.region_names)[model.regions]
    parts = np.array([PARTS.get(n, "tongue" if n == "tongue" else "head") for n in names])
    still = np.zeros_like(model.mean)
    changes = {label: still for group, _ in _MOVED_BY.values() for label in group}
    near = np.linalg.norm(model.mean - landmarks[51], axis=1) < 0.005
    changes[_MOVED_BY["upper_lip"][0][0]] = near[:, None] * np.float32([0, 0, 0.001])
    return np.array(REGION_NAMES)[
        label_regions(model.mean.astype(np.float64), parts, changes, landmarks)
    ]


def test_mesh_parts_define_inner_regions(model: MorphableModel, labels: np.ndarray) -> None:
    names = np.array(model.region_names)[model.regions]
    for name in ("left_eye", "right_eye", "inner_mouth", "tongue"):
        np.testing.assert_array_equal(labels == name, names == name)


def test_blend_shapes_define_outer_regions(
    model: MorphableModel, labels: np.ndarray, landmarks: np.ndarray
) -> None:
    near = np.linalg.norm(model.mean - landmarks[51], axis=1) < 0.005
    outer = ~np.isin(labels, ["inner_mouth", "tongue"])
    assert (labels[near & outer] == "upper_lip").all() and (near & outer).sum() > 10
    assert "left_ear" not in labels  # nothing moved there


def test_nose_is_connected_and_holds_its_landmarks(
    model: MorphableModel, labels: np.ndarray, landmarks: np.ndarray
) -> None:
    nose = model.mean[labels == "nose"]
    nearest = np.linalg.norm(landmarks[28:36, None] - nose[None], axis=2).min(axis=1)
    assert nearest.max() < 0.003
    assert abs(nose[:, 0].mean()) < 1e-3  # symmetric
    for cheek in (1, 15, 41, 46):  # neither cheeks nor lower eyelids
        assert np.linalg.norm(nose - landmarks[cheek], axis=1).min() > 0.008


def test_brows_follow_their_landmarks(
    model: MorphableModel, labels: np.ndarray, landmarks: np.ndarray
) -> None:
    for name, line in (("right_brow", landmarks[17:22]), ("left_brow", landmarks[22:27])):
        points = model.mean[labels == name]
        assert len(points) > 20
        away = np.linalg.norm(points[:, None] - line[None], axis=2).min(axis=1)
        assert away.max() < 0.010
        assert (points[:, 0] > 0).all() == (name == "left_brow")


def test_neck_lies_below_the_jaw_and_scalp_above_and_behind(
    model: MorphableModel, labels: np.ndarray, landmarks: np.ndarray
) -> None:
    neck, scalp = (model.mean[labels == name] for name in ("neck", "scalp"))
    assert len(neck) > 100 and len(scalp) > 100
    assert neck[:, 1].max() < landmarks[30, 1]
    front = scalp[scalp[:, 2] > landmarks[0, 2]]
    assert front[:, 1].min() > landmarks[17:27, 1].max()
