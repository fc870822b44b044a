from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.avatar import ARKIT_NAMES, AvatarFrame
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.geometry.rotation import quaternion


@pytest.fixture
def frame() -> AvatarFrame:
    """A face that winks with its left eye, turned by 20, 10 and 5 degrees, half a meter away; no two blend shapes are alike."""
    shapes = np.arange(len(ARKIT_NAMES), dtype=np.float32) / 100
    shapes[ARKIT_NAMES.index("eyeBlinkLeft")] = 1
    angles = np.array([20.0, 10.0, 5.0])
    turn = quaternion(rotation_from_yaw_pitch_roll(angles))
    return AvatarFrame(3725.5, "f3", shapes, turn, np.array([0.1, -0.05, -0.5]), angles)
