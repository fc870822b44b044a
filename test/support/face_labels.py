"""Labels of a face collection in memory."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from tddfa_ros.fitting.collection import FaceLabels


def face_labels(count: int, source: str = "toy", **arrays: np.ndarray) -> FaceLabels:
    """Return ``count`` faces of a source; labels that are not given are missing."""

    def nothing(*shape: int) -> np.ndarray:
        return np.full((count, *shape), np.nan, np.float32)

    values = {
        "ensemble51": nothing(51, 2),
        "rejected": np.zeros(count, np.bool_),
        "images": np.array([f"{i}.jpg" for i in range(count)]),
        "roi": np.tile(np.float32([0, 0, 120, 120]), (count, 1)),
        "teacher68": nothing(68, 3),
        "spread": np.full(count, 0.005, np.float32),
        "yaw_deg": np.zeros(count, np.float32),
        "mesh478": nothing(478, 3),
        "blendshapes": nothing(52),
        "human68": nothing(68, 2),
        "human21": nothing(21, 2),
        "evaluation": np.zeros(count, np.bool_),
    }
    assert {f.name for f in fields(FaceLabels)} == {"source", *values}
    return FaceLabels(source, **{**values, **arrays})
