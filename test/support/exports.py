"""A face and an image for export tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.types import Intrinsics


def export_face(
    yaw_deg: float = 0.0,
    stamp: float = 0.0,
    expression: tuple[float, ...] = (),
    seed: int | None = None,
) -> TrackedFace:
    """Return a synthetic face in an image of 640x480 px, with the given first expression coefficients and an optional identity."""
    model = synthetic_model()
    params = frontal_params(model)
    pose = params[:12].reshape(3, 4)
    pose[:, :3] = pose[:, :3] @ rotation_from_yaw_pitch_roll(np.array([yaw_deg, 0, 0]))
    params[model.layout.expression_slice][: len(expression)] = expression
    if seed is not None:
        rng = np.random.default_rng(seed)
        params[model.layout.shape_slice] = rng.normal(size=model.layout.shape)
    roi = np.array([200.0, 120.0, 440.0, 360.0])
    return TrackedFace(
        box=roi,
        confidence=1.0,
        params=params,
        roi=roi,
        model=model,
        intrinsics=Intrinsics.from_fov(640, 480),
        id="f1",
        stamp=stamp,
        age=1,
    )


def noise(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image of random colors, (height, width, 3)."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
