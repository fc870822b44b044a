from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

pytest.importorskip("torch", reason="torch is an optional dependency")

import torch

from tddfa_ros.device.pose import metric_poses, rotations
from tddfa_ros.geometry.camera import SELLION, metric_fits
from tddfa_ros.geometry.lens import pinhole, project
from tddfa_ros.geometry.pose import (
    CAMERA_FROM_CROP,
    compose,
    decompose,
    rotation_from_yaw_pitch_roll,
)
from tddfa_ros.types import Intrinsics

COUNT = 40
LENS = Intrinsics(640, 480, np.array([[520.0, 2.0, 310.0], [0, 530.0, 250.0], [0, 0, 1]]))


def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heads, noisy pixels and disturbed rotations of faces from 0.25 to 4 m, to profiles, also beside the image."""
    rng = np.random.default_rng(3)
    model = synthetic_model()
    heads = model.head_landmarks(np.array([random_params(model, rng) for _ in range(COUNT)]))
    angles = rng.uniform(-1, 1, (COUNT, 3)) * [80, 40, 60]
    true = CAMERA_FROM_CROP @ rotation_from_yaw_pitch_roll(angles)
    z = np.geomspace(0.25, 4.0, COUNT)
    position = np.stack(
        [z * rng.uniform(-0.8, 0.8, COUNT), z * rng.uniform(-0.5, 0.5, COUNT), z], 1
    )
    placed = heads @ true.swapaxes(1, 2) + position[:, None]
    pixels = np.array([project(points, LENS) for points in placed])
    pixels += rng.normal(0, 0.3, pixels.shape)
    seen = rotation_from_yaw_pitch_roll(angles + rng.normal(0, 5, angles.shape))
    return heads, pixels, seen


@pytest.mark.parametrize("with_sigma", [False, True])
def test_matches_the_cpu_path(with_sigma: bool) -> None:
    heads, pixels, seen = cases()
    sigma = np.random.default_rng(0).uniform(0.5, 3, (COUNT, 68)) if with_sigma else None
    found = metric_poses(
        torch.from_numpy(heads),
        torch.from_numpy(pixels),
        torch.from_numpy(seen),
        torch.tensor([pinhole(LENS)] * COUNT, dtype=torch.float64),
        None if sigma is None else torch.from_numpy(sigma),
    )
    for i, fit in enumerate(metric_fits(heads, pixels, seen, LENS, sigma)):
        sellion = fit.rotation @ heads[i, SELLION] + fit.translation
        np.testing.assert_allclose(found.rotation[i].numpy(), fit.rotation, atol=1e-9)
        np.testing.assert_allclose(found.sellion[i].numpy(), sellion, rtol=1e-9)
    assert np.ptp(found.sellion[:, 2].numpy()) > 2


def test_face_without_pose_is_nan_and_leaves_the_others() -> None:
    heads, pixels, seen = cases()
    cameras = torch.tensor([pinhole(LENS)] * COUNT, dtype=torch.float64)
    alone = metric_poses(*map(torch.from_numpy, (heads, pixels, seen)), cameras, None)
    pixels[3] = np.nan
    pixels[5] = 100.0  # no extent
    found = metric_poses(*map(torch.from_numpy, (heads, pixels, seen)), cameras, None)
    others = [i for i in range(COUNT) if i not in (3, 5)]
    assert found.sellion[[3, 5]].isnan().all()
    torch.testing.assert_close(found.sellion[others], alone.sellion[others], rtol=0, atol=1e-12)


def test_rotations_match_decompose() -> None:
    rng = np.random.default_rng(1)
    true = rotation_from_yaw_pitch_roll(rng.uniform(-60, 60, (9, 3)))
    pose = compose(np.full(9, 500.0), true, np.zeros((9, 3))) + rng.normal(0, 20, (9, 3, 4))
    found = rotations(torch.from_numpy(pose))
    np.testing.assert_allclose(found.numpy(), decompose(pose)[1], atol=1e-12)
