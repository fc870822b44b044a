"""Conversion between parameters and filter states."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import random_params, synthetic_model

from tddfa_ros.geometry import pose, rotation
from tddfa_ros.smoothing import quaternion
from tddfa_ros.smoothing.state import EXPRESSION, SCALE, StateCodec, difference, displaced

MODEL = synthetic_model()
CODEC = StateCodec(MODEL.layout, 0.12)
ROI = np.array([50.0, 80.0, 250.0, 280.0])


def params_of(seed: int, shear: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    params = random_params(MODEL, rng)
    r = rotation.exp(rng.normal(size=3))
    matrix = 400 * r @ (np.eye(3) + shear * rng.normal(size=(3, 3)))
    params[:12] = np.column_stack([matrix, [61.5, 58.0, -3.0]]).ravel()
    return params


@pytest.mark.parametrize("shear", [0.0, 0.1])
def test_matches_geometry_image_pose(shear: float):
    params = params_of(0, shear)
    state = CODEC.encode(params, ROI)
    expected = pose.image_pose(params[:12].reshape(3, 4), ROI)
    np.testing.assert_allclose(state.linear[:3], expected.translation, rtol=1e-6)
    np.testing.assert_allclose(quaternion.to_matrix(state.rotation), expected.rotation, atol=1e-6)
    assert state.size == pytest.approx(expected.scale * 0.12, rel=1e-6)


@pytest.mark.parametrize("shear", [0.0, 0.05, 0.3])
def test_codec_round_trip_keeps_shear(shear: float):
    params = params_of(1, shear)
    shape = params[MODEL.layout.shape_slice].astype(np.float64)
    np.testing.assert_allclose(
        CODEC.decode(CODEC.encode(params, ROI), shape, ROI), params, rtol=1e-5, atol=1e-5
    )


def test_state_is_independent_of_roi():
    params = params_of(2, 0.05)
    other = np.array([12.3, -40.0, 340.0, 287.7])  # square
    state = CODEC.encode(params, ROI)
    moved = CODEC.decode(state, params[MODEL.layout.shape_slice], other)
    assert moved is not None
    np.testing.assert_allclose(
        pose.to_image(MODEL.head(moved), moved[:12].reshape(3, 4), other),
        pose.to_image(MODEL.head(params), params[:12].reshape(3, 4), ROI),
        atol=2e-3,
    )
    np.testing.assert_allclose(difference(state, CODEC.encode(moved, other)), 0, atol=1e-5)


def test_difference_and_displaced_are_inverse_and_scale_with_the_face():
    a, b = CODEC.encode(params_of(3), ROI), CODEC.encode(params_of(4), ROI)
    delta = difference(a, b)
    reached = displaced(a, delta)
    np.testing.assert_allclose(reached.linear, b.linear, atol=1e-9)
    np.testing.assert_allclose(
        quaternion.to_matrix(reached.rotation), quaternion.to_matrix(b.rotation), atol=1e-12
    )
    step = np.zeros_like(delta)
    step[3] = 1.0
    assert displaced(a, step).linear[0] - a.linear[0] == pytest.approx(a.size)


def test_face_size_scales_with_roi():
    params = params_of(5)
    double = np.array([50.0, 80.0, 450.0, 480.0])
    delta = difference(CODEC.encode(params, ROI), CODEC.encode(params, double))
    assert delta[SCALE] == pytest.approx(np.log(2))
    np.testing.assert_allclose(delta[[0, 1, 2, *range(7, EXPRESSION + 52)]], 0, atol=1e-12)


@pytest.mark.parametrize("index", [0, 11, 12, 60])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rejects_non_finite_parameter(index: int, value: float):
    params = params_of(6)
    params[index] = value
    assert CODEC.encode(params, ROI) is None


@pytest.mark.parametrize(
    "roi", [[0, 0, 0, 0], [10, 10, 5, 20], [0, np.nan, 10, 10], [0, 0, np.inf, 10]]
)
def test_rejects_roi_without_area(roi: list[float]):
    params = params_of(7)
    state = CODEC.encode(params, ROI)
    assert CODEC.encode(params, np.array(roi, dtype=float)) is None
    assert CODEC.decode(state, params[12:52], np.array(roi, dtype=float)) is None


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 3)), [[1, 0, 0], [1, 0, 0]], [[1, 2, 3], [-1, -2, -3]]]
)
def test_rejects_pose_without_rotation(rows: object):
    params = params_of(8)
    matrix = params[:12].reshape(3, 4).copy()
    matrix[:2, :3] = rows
    params[:12] = matrix.ravel()
    assert CODEC.encode(params, ROI) is None
