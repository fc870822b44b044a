from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.tracking.motion import RoiMotion

ROI = np.array([100.0, 100.0, 200.0, 200.0])
SIZE = (640, 480)


def walked(seconds: float, speed: float, hz: float = 30.0) -> RoiMotion:
    """A filter after an ROI that moved right at ``speed`` px/s."""
    motion = RoiMotion(ROI, 0.0)
    for k in range(1, round(seconds * hz) + 1):
        motion.update(ROI + [speed * k / hz, 0, speed * k / hz, 0], k / hz)
    return motion


def test_constant_velocity_is_predicted():
    motion = walked(1.0, 120.0)
    motion.predict(1.2)
    np.testing.assert_allclose(motion.roi(), ROI + [144, 0, 144, 0], atol=3.0)


def test_prediction_does_not_depend_on_the_number_of_steps():
    once, often = walked(1.0, 120.0), walked(1.0, 120.0)
    once.predict(2.0)
    for k in range(1, 31):
        often.predict(1.0 + k / 30)
    np.testing.assert_allclose(once.roi(), often.roi(), atol=1e-6)
    expected = once.log_likelihood(ROI + 150, SIZE)
    assert often.log_likelihood(ROI + 150, SIZE) == pytest.approx(expected, abs=1e-6)


def test_velocity_of_the_size_decays():
    """A face that is covered from one side seems to shrink; it does not shrink on behind the cover."""
    motion = RoiMotion(ROI, 0.0)
    for k in range(1, 6):
        motion.update(ROI + [6.0 * k, 6.0 * k, 0, 0], k / 30)
    side = float(np.ptp(motion.roi()[[0, 2]]))
    motion.predict(1.5)
    assert float(np.ptp(motion.roi()[[0, 2]])) > 0.7 * side


def test_likelihood_falls_with_distance_and_widens_with_time():
    motion = walked(1.0, 0.0)
    near = [motion.log_likelihood(ROI + [d, 0, d, 0], SIZE) for d in (0.0, 30.0, 60.0, 200.0)]
    assert near == sorted(near, reverse=True)
    assert near[0] > 3 > 0 > near[3]
    motion.predict(2.0)
    assert motion.log_likelihood(ROI, SIZE) < near[0]
    assert motion.log_likelihood(ROI + [200, 0, 200, 0], SIZE) > near[3]


def test_likelihood_does_not_depend_on_resolution():
    small, large = RoiMotion(ROI, 0.0), RoiMotion(3 * ROI, 0.0)
    for motion in (small, large):
        motion.predict(0.2)
    offset = np.array([20.0, 10.0, 20.0, 10.0])
    assert small.log_likelihood(ROI + offset, SIZE) == pytest.approx(
        large.log_likelihood(3 * (ROI + offset), (1920, 1440))
    )


def test_elsewhere_is_a_lower_bound():
    motion = walked(1.0, 0.0)
    far = motion.log_likelihood(ROI + 250, SIZE, elsewhere=0.3)
    assert far == pytest.approx(np.log(0.3), abs=0.05)


def test_shift_moves_the_prediction():
    motion = walked(1.0, 0.0)
    motion.shift(np.array([40.0, -20.0]))
    np.testing.assert_allclose(motion.roi(), ROI + [40, -20, 40, -20], atol=1e-6)
