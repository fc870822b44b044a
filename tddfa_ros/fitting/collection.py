"""Read a face collection with labels of teacher networks, as targets for :mod:`tddfa_ros.fitting.fit`.

Format: one ``.npz`` per source and a folder of crops (docs/training_data.md). All points are converted to the 120-px crop
frame of the teacher's ROI: y up, z nearer = larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import CROP_FRAME, FloatArray

TEACHER_SOURCES = ("aflw", "utk", "ytf", "lfw", "cc0", "helen", "afw", "cew", "yawn", "mask")
"""Sources used to locate the landmarks on the morphable model."""
SOURCES = (*TEACHER_SOURCES, "lp", "cfp")
"""All sources of training labels."""

AFLW_KEPT_EVERY = 47
"""One face of AFLW in this many is held out to evaluate its 21 points."""
TRUE_SOURCES = ("lp",)
"""Sources whose 68 points are projections of a 3D head, jaw included, not annotations of the visible outline."""
CLOSED_EYES = ("cew",)
"""Sources in which all eyes are closed."""
MAX_POSE_DISAGREEMENT_DEG = 25.0
"""Labels on which 3DDFA_V2 and the head-pose network disagree by more are rejected."""

_ONE_PIXEL = {"helen": 0.25, "afw": 0.4}
"""Median size of one pixel of the source image in px of the stored crop, for sources whose points have no pixel grid.

iBUG's annotations count pixels from 1.
"""
_GRID_TOLERANCE = 0.06


@dataclass(frozen=True, eq=False)
class FaceLabels:
    """Teacher and human labels of n faces of one source; NaN where a label is missing.

    Points are in px of the 120-px crop frame, y up.

    Attributes:
        source: name of the source.
        images: (n,) paths relative to ``<root>/img``.
        roi: (n, 4) the teacher's ROI in px of the stored crop.
        teacher68: (n, 68, 3) landmarks of 3DDFA_V2.
        spread: (n,) uncertainty of 3DDFA_V2 in ROI widths.
        yaw_deg: (n,) yaw of 3DDFA_V2, degrees.
        mesh478: (n, 478, 3) landmarks of MediaPipe.
        blendshapes: (n, 52) MediaPipe's blend-shape scores in the order of ``BLENDSHAPES``.
        human68: (n, 68, 2) annotated iBUG-68 landmarks, pixels counted from 0; the jaw lies on the visible outline, except
            where ``true_points`` is set.
        human21: (n, 21, 2) AFLW's visible points: brows, eyes, ear, nose, ear, mouth, chin, each from left to right in the image.
        evaluation: (n,) True where the face is held out for evaluation.
        ensemble51: (n, 51, 2) landmarks 17..67 of an ensemble of landmark networks.
        rejected: (n,) True where the head pose contradicts that of another network.
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
    ensemble51: FloatArray
    rejected: NDArray[np.bool_]

    @property
    def true_points(self) -> bool:
        """Whether ``human68`` are projections of a 3D head (:data:`TRUE_SOURCES`)."""
        return self.source in TRUE_SOURCES


def load_source(root: Path, source: str) -> FaceLabels:
    """Read one source of a face collection.

    Args:
        root: folder of the collection, with ``<source>.npz``.
        source: one of :data:`SOURCES`.

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
        points = counted_from_zero(source, data["gt68"].astype(np.float32)[..., :2])
        human = to_crop_frame(points, roi)
    visible = np.full((n, 21, 2), np.nan, dtype=np.float32)
    if "gt21" in data:
        visible = to_crop_frame(data["gt21"].astype(np.float32)[..., :2], roi)
    split = data["split"] if "split" in data else np.full(n, "")
    teacher = data["v2_68"].astype(np.float32)
    ensemble, pose = _ensemble(root / f"ens_{source}.npz", teacher)
    return FaceLabels(
        source,
        data["name"],
        roi,
        to_crop_frame(teacher, roi),
        data["v2_spread"].astype(np.float32),
        data["v2_ypr"][:, 0].astype(np.float32),
        mesh,
        data["arkit52"].astype(np.float32),
        human,
        visible,
        _kept(root, source, np.asarray(split).astype(str), data.get("path")),
        to_crop_frame(ensemble, roi),
        _contradicted(data["v2_ypr"], pose) & (source not in TRUE_SOURCES),
    )


def _contradicted(ours: FloatArray, other: FloatArray) -> NDArray[np.bool_]:
    """Return which head poses (n, 3), degrees, differ too much.

    Beyond 50 degrees of yaw only yaw is compared: pitch and roll are ill-conditioned there.
    """
    apart = np.abs((ours - other + 180) % 360 - 180)
    apart[np.abs(ours[:, 0]) > 50, 1:] = 0
    return np.asarray(np.nan_to_num(apart).max(axis=1) > MAX_POSE_DISAGREEMENT_DEG)


def counted_from_zero(source: str, points: FloatArray) -> FloatArray:
    """Shift annotations that count pixels from 1 by one pixel of the source image.

    YTF's annotations are integers, so their grid gives the size of a source pixel; for other sources the median size is used.

    Args:
        source: name of the source.
        points: (n, 68, 2) annotated points, px of the stored crop.

    Returns:
        (n, 68, 2) points, pixels counted from 0.
    """
    if source == "ytf":
        pixel = np.array([grid_spacing(face) for face in points], dtype=np.float32)
        pixel = np.where(np.isfinite(pixel), pixel, np.nanmedian(pixel))
        return points - pixel[:, None, None]
    return points - np.float32(_ONE_PIXEL.get(source, 0.0))


def grid_spacing(points: FloatArray) -> float:
    """Return the spacing of the square grid on which all points (L, 2) lie; NaN if they lie on none."""
    finite = points[np.isfinite(points).all(axis=1)]
    gaps = np.concatenate([np.diff(np.unique(np.round(column, 3))) for column in finite.T])
    gaps = gaps[gaps > 0.05]
    if len(gaps) < 20:
        return float("nan")
    for part in (1, 2, 3):
        spacing = float(gaps.min()) / part
        multiple = gaps / spacing
        if np.abs(multiple - np.round(multiple)).max() < _GRID_TOLERANCE:
            return spacing
    return float("nan")


def _ensemble(path: Path, teacher: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Read landmarks 17..67 (n, 51, 2), px of the stored crop, and head pose (n, 3), degrees; NaN where missing.

    The file stores offsets from 3DDFA_V2's points in units of 1/8 px, with zero weight where all networks contradict these.
    """
    n = len(teacher)
    if not path.is_file():
        return np.full((n, 51, 2), np.nan, np.float32), np.full((n, 3), np.nan, np.float32)
    with np.load(path) as file:
        residual = file["ens51"].astype(np.float32)
        weight, pose = file["ens_w"].astype(np.float32), file["ot_ypr"].astype(np.float32)
    residual[np.abs(residual).max(axis=2) >= 127] = np.nan
    residual[weight.sum(axis=1) <= 0] = np.nan
    return teacher[:, 17:, :2] + residual / 8, pose


def _kept(
    root: Path, source: str, split: NDArray[np.str_], path: NDArray[np.str_] | None
) -> NDArray[np.bool_]:
    """Return which faces are held out for evaluation.

    These are the faces that the collection marks, every 47th face of AFLW, and the faces of AFW whose source image is in
    the validation split of 300W-LP.
    """
    every_so_often = np.arange(len(split)) % AFLW_KEPT_EVERY == 0
    kept = np.isin(split, ("eval", "val")) | (every_so_often & (source == "aflw"))
    others = root / "lp.npz"
    if source == "afw" and path is not None and others.is_file():
        with np.load(others) as file:
            held_out = set(file["photo"][file["split"] == "val"].tolist())
        stems = [f"AFW_{Path(str(p)).stem.rpartition('_')[0]}" for p in path]
        kept = kept | np.isin(stems, sorted(held_out))
    return np.asarray(kept)


def to_crop_frame(points: FloatArray, roi: FloatArray) -> FloatArray:
    """Convert points (n, L, 2 or 3) from px of the stored crop to the 120-px frame of ``roi`` (n, 4), y up."""
    scale = (CROP_FRAME / (roi[:, 2] - roi[:, 0]))[:, None]
    out = np.array(points, dtype=np.float32)
    out[..., 0] = (out[..., 0] - roi[:, 0, None]) * scale + 1
    out[..., 1] = CROP_FRAME - (out[..., 1] - roi[:, 1, None]) * scale
    if out.shape[-1] == 3:
        out[..., 2] *= scale
    return out


def _restore_mesh(root: Path, coefficients: NDArray[np.float16]) -> FloatArray:
    """Return MediaPipe's 478 points, stored as PCA coefficients in the frame of a 120-px ROI centered at (0, 0)."""
    with np.load(root / "fm478_basis.npz") as file:
        mean, basis = file["mean"], file["basis"].astype(np.float32)
    points = (mean + coefficients.astype(np.float32) @ basis).reshape(-1, 478, 3)
    middle = CROP_FRAME / 2
    return np.stack(
        [points[..., 0] + middle + 1, CROP_FRAME - (points[..., 1] + middle), -points[..., 2]],
        axis=2,
    ).astype(np.float32)
