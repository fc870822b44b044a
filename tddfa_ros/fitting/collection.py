"""The research face collection with teacher labels, as targets for :mod:`tddfa_ros.fitting.fit`.

Format: one ``.npz`` a source and a folder of crops (see the collection's README). All points are brought to the 120-px
crop frame of the teacher's ROI, with y up and z nearer = larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import CROP_FRAME, FloatArray

SOURCES = ("aflw", "utk", "ytf", "lfw", "cc0", "helen", "afw", "cew", "yawn", "mask")

AFLW_KEPT_EVERY = 47
"""One face of AFLW in so many is kept for measuring its 21 points."""


@dataclass(frozen=True, eq=False)
class FaceLabels:
    """Teacher and human labels of n faces of one source; NaN where there is none.

    Attributes:
        source: name; images: (n,) paths relative to ``<root>/img``.
        roi: (n, 4) the teacher's ROI in px of the stored crop.
        teacher68: (n, 68, 3) 3DDFA_V2; spread: (n,) its own uncertainty in ROI widths; yaw_deg: (n,).
        mesh478: (n, 478, 3) MediaPipe; blendshapes: (n, 52) its scores, :data:`BLENDSHAPES` order.
        human68: (n, 68, 2) iBUG-68, the jaw on the visible silhouette.
        human21: (n, 21, 2) AFLW's visible points: brows, eyes, ear, nose, ear, mouth, chin, from the left of the picture to its right.
        evaluation: (n,) True: kept for measuring expressions or AFLW's 21 points, never trained on.
    """

    source: str
    images: NDArray[np.str_]
    roi: FloatArray
    teacher68: FloatArray
    spread: FloatArray
    yaw_deg: FloatArray
    mesh478: FloatArray
    blendshapes: FloatArray
    human68: FloatArray
    human21: FloatArray
    evaluation: NDArray[np.bool_]


def load_source(root: Path, source: str) -> FaceLabels:
    """Read one source of the collection at ``root`` (the folder with ``<source>.npz``).

    Raises:
        ConfigError: the file does not exist.
    """
    path = root / f"{source}.npz"
    if not path.is_file():
        raise ConfigError(f"the face collection has no {path}")
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    n = len(data["name"])
    roi = data["roi"].astype(np.float32)
    mesh = _restore_mesh(root, data["fm478_coef"])
    human = np.full((n, 68, 2), np.nan, dtype=np.float32)
    if "gt68" in data:
        human = to_crop_frame(data["gt68"].astype(np.float32)[..., :2], roi)
    visible = np.full((n, 21, 2), np.nan, dtype=np.float32)
    if "gt21" in data:
        visible = to_crop_frame(data["gt21"].astype(np.float32)[..., :2], roi)
    split = data["split"] if "split" in data else np.full(n, "")
    return FaceLabels(
        source,
        data["name"],
        roi,
        to_crop_frame(data["v2_68"].astype(np.float32), roi),
        data["v2_spread"].astype(np.float32),
        data["v2_ypr"][:, 0].astype(np.float32),
        mesh,
        data["arkit52"].astype(np.float32),
        human,
        visible,
        _kept(source, np.asarray(split).astype(str)),
    )


def _kept(source: str, split: NDArray[np.str_]) -> NDArray[np.bool_]:
    """What is for measuring: what the collection marks, and every 47th face of AFLW for its 21 points."""
    every_so_often = np.arange(len(split)) % AFLW_KEPT_EVERY == 0
    return np.asarray((split == "eval") | (every_so_often & (source == "aflw")))


def to_crop_frame(points: FloatArray, roi: FloatArray) -> FloatArray:
    """Points (n, L, 2 or 3) in px of the stored crop to the 120-px frame of ``roi`` (n, 4), y up."""
    scale = (CROP_FRAME / (roi[:, 2] - roi[:, 0]))[:, None]
    out = np.array(points, dtype=np.float32)
    out[..., 0] = (out[..., 0] - roi[:, 0, None]) * scale + 1
    out[..., 1] = CROP_FRAME - (out[..., 1] - roi[:, 1, None]) * scale
    if out.shape[-1] == 3:
        out[..., 2] *= scale
    return out


def _restore_mesh(root: Path, coefficients: NDArray[np.float16]) -> FloatArray:
    """MediaPipe's 478 points, stored as principal components in the frame of a 120-px ROI around (0, 0)."""
    with np.load(root / "fm478_basis.npz") as file:
        mean, basis = file["mean"], file["basis"].astype(np.float32)
    points = (mean + coefficients.astype(np.float32) @ basis).reshape(-1, 478, 3)
    middle = CROP_FRAME / 2
    return np.stack(
        [points[..., 0] + middle + 1, CROP_FRAME - (points[..., 1] + middle), -points[..., 2]],
        axis=2,
    ).astype(np.float32)
