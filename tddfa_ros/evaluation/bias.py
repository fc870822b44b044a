"""Systematic offsets of landmarks from the labels of AFLW2000-3D, by region of the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.sets import STANDARDS, WHOLE_CROP, Sets, arrays, read_image, standards
from tddfa_ros.geometry.metrics import face_size
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.types import DoubleArray, RealArray

REGIONS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}
"""Regions of iBUG-68."""

_NOTE = (
    "Mean offset of the landmarks found from the labels, % of the face size: 'down' along the face's own vertical, from the eyes to the chin; "
    "'out' away from its midline, half of the difference of both sides. A common offset of all faces is a difference of convention or a bias of the network."
)


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure offsets by region and by set of labels."""
    folder = sets.folder("aflw2000")
    names = ("name", *STANDARDS, "roi_box")
    truth = sets.some(arrays(folder / "gt.npz", *names))
    crops = [
        predictor.regress(read_image(folder / "crop120" / str(name)), WHOLE_CROP)[0]
        for name in tqdm(truth["name"], desc="AFLW2000-3D, offsets", disable=None)
    ]
    found = crop_to_image(np.stack([face.landmarks[:, :2] for face in crops]), truth["roi_box"])
    rows = []
    for standard, wanted in standards(truth).items():
        offsets = face_offsets(found, wanted)
        for region, points in REGIONS.items():
            rows.append(Row(f"{standard}, {region}", len(found), region_bias(offsets, points)))
    return SuiteResult("bias", "AFLW2000-3D, offsets by region", rows, _NOTE)


def face_offsets(found: RealArray, wanted: RealArray) -> DoubleArray:
    """Return offsets (n, 68, 2) of landmarks (n, 68, 2), % of the face size, along the axes of the upright face: right, down."""
    eyes = wanted[:, 36:48].mean(axis=1)
    down = wanted[:, 8] - eyes
    down = down / np.linalg.norm(down, axis=1, keepdims=True)
    right = np.stack([down[:, 1], -down[:, 0]], axis=1)
    axes = np.stack([right, down], axis=1)  # (n, 2, 2), rows are axes
    size = face_size(np.asarray(wanted, dtype=np.float64))[:, None, None]
    return np.asarray(100 * np.einsum("nij,npj->npi", axes, found - wanted) / size)


def region_bias(offsets: DoubleArray, points: range) -> dict[str, float | None]:
    """Mean offsets of a region over all faces, and of its two sides outwards."""
    own = offsets[:, list(points)]
    sides: NDArray[np.float64] = np.array([_SIDE[p] for p in points])
    return {
        "down": float(own[..., 1].mean()),
        "out": float((own[..., 0] * sides).sum() / (np.abs(sides).sum() * len(own))),
    }


def _sides() -> list[int]:
    """Return -1 for points of the left half of an upright face in the image, 1 right, 0 on the midline."""
    left = [*range(8), *range(17, 22), *range(36, 42), 31, 32, 48, 49, 50, 58, 59, 60, 61, 67]
    middle = [8, *range(27, 31), 33, 51, 57, 62, 66]
    return [-1 if p in left else 0 if p in middle else 1 for p in range(68)]


_SIDE = _sides()
