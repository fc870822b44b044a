"""Landmarks of a head in meters, and the ideal weak-perspective pose of a network."""

from __future__ import annotations

import numpy as np
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.geometry import pose


def landmarks() -> np.ndarray:
    """Landmarks (68, 3) of the synthetic model, m."""
    model = synthetic_model()
    return model.head_landmarks(frontal_params(model)).astype(np.float64)


def weak_pose(head: np.ndarray, pixels: np.ndarray) -> pose.Similarity:
    """Fit the weak-perspective pose to pixels (68, 2)."""
    centered, projected = head - head.mean(0), (pixels - pixels.mean(0)) * [1, -1]
    rows = np.linalg.lstsq(centered, projected, rcond=None)[0].T
    p = np.concatenate([np.vstack([rows, np.cross(*rows)]), np.zeros((3, 1))], axis=1)
    scale, rotation, _ = pose.decompose(p)
    x, y = pixels.mean(0)
    return pose.Similarity(float(scale), rotation, np.array([x, y, 0.0]))
