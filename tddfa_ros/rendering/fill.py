"""Smooth continuation of pictures into places that nothing is known about."""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.types import FloatArray


def fill_gaps(colour: FloatArray, weight: FloatArray) -> FloatArray:
    """Continue colours smoothly into texels without weight.

    "Pull-push" over an image pyramid: Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4.

    Args:
        colour: (h, w, 3) float32. weight: (h, w) float32 0..1, the trust in each texel.
    """
    if min(weight.shape) <= 2 or float(weight.min()) >= 0.999:
        total = float(weight.sum())
        mean = (colour * weight[..., None]).sum((0, 1)) / total if total > 1e-6 else np.full(3, 128)
        return np.asarray(weight[..., None] * colour + (1 - weight[..., None]) * mean, np.float32)
    height, width = weight.shape
    small_size = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, small_size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(colour * weight[..., None], small_size, interpolation=cv2.INTER_AREA)
    small = weighted / np.maximum(small_weight, 1e-6)[..., None]
    trust = np.clip(small_weight * 4, 0, 1).astype(np.float32)
    coarse = fill_gaps(small.astype(np.float32), trust)
    background = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(weight[..., None] * colour + (1 - weight[..., None]) * background, np.float32)
