"""Read 300W-LP and AFLW2000-3D as distributed, with a MATLAB file per image (Zhu et al., Face Alignment Across Large Poses, CVPR 2016).

===============  ===============  ==============================================================
``Pose_Para``    (1, 7)           pitch, yaw, roll in rad, translation x, y, z, scale
``Shape_Para``   (199, 1)         identity coefficients of the BFM
``Exp_Para``     (29, 1)          expression coefficients of its FaceWarehouse basis
``roi``          (1, 4)           x0, y0, x1, y1 px
``pt2d``         (2, 68 or 21)    300W-LP: 68 points of the image before profiling; AFLW2000-3D: AFLW's 21
``pt3d_68``      (3, 68)          AFLW2000-3D only: px; z px, nearer = larger, relative
===============  ===============  ==============================================================

The points of a profiled image ``AFW/NAME.jpg`` of 300W-LP are in ``landmarks/AFW/NAME_pts.mat``: ``pts_3d`` (68, 2) of the mesh, ``pts_2d`` with the
jaw on the outline. ``pt2d`` is valid for original images, ``..._0.jpg``, only. Coefficients of the BFM cannot be used with another model, so
parameters are fitted to the points. 300W-LP counts pixels from 1; landmarks are returned counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from tddfa_ros.geometry.pose import rotation_from_300w_lp
from tddfa_ros.training.data.landmarks import FaceLandmarks, check_extent
from tddfa_ros.training.data.layout import ItemError
from tddfa_ros.types import DoubleArray, FloatArray

FORMATS = ("300w-lp", "aflw2000")
_FIRST_PIXEL = np.float32(1)  # of 300W-LP


@dataclass(frozen=True, eq=False)
class MatFace:
    """One labeled face.

    Attributes:
        landmarks: (68, 2 or 3) px of the image, x right, y down; z px, nearer = larger.
        silhouette: the jaw points lie on the visible outline.
        pitch_yaw_roll: (3,) rad, signs of the dataset (:func:`~tddfa_ros.geometry.pose.angles_300w_lp`).
        roi: (4,) x0, y0, x1, y1 px, or None.
        pose: (7,) ``Pose_Para``.
        shape: (199,) ``Shape_Para``.
        expression: (29,) ``Exp_Para``.
    """

    landmarks: FloatArray
    silhouette: bool
    pitch_yaw_roll: FloatArray
    roi: FloatArray | None
    pose: FloatArray
    shape: FloatArray
    expression: FloatArray

    @property
    def rotation(self) -> DoubleArray:
        """(3, 3) crop frame (y up) <- model."""
        pitch, yaw, roll = np.degrees(self.pitch_yaw_roll.astype(np.float64))
        return rotation_from_300w_lp(np.array([yaw, pitch, roll]))


def mat_landmarks(images: Path, name: str, kind: str) -> FaceLandmarks:
    """Read landmarks and pose of the item ``name`` in ``images``, a folder in one of :data:`FORMATS`.

    Raises:
        ItemError: the image has no points, or a file is damaged.
    """
    read = read_300w_lp if kind == "300w-lp" else read_aflw2000
    face = read(images, name)
    return FaceLandmarks(name, face.landmarks, None, face.silhouette, face.rotation)


def read_300w_lp(images: Path, name: str) -> MatFace:
    """Read an item of 300W-LP from ``NAME.mat``, with its points from ``landmarks/NAME_pts.mat`` if that exists.

    Raises:
        ItemError: the image has no points, or a file is damaged.
    """
    values = _load(images / f"{name}.mat")
    beside = images / "landmarks" / f"{name}_pts.mat"
    if beside.is_file():
        points = _array(_load(beside), "pts_3d", (68, 2))
        return _face(values, points - _FIRST_PIXEL, silhouette=False)
    if not name.endswith("_0"):
        raise ItemError(
            f"there is no landmarks/{name}_pts.mat, and pt2d has the points of the image before profiling"
        )
    return _face(values, _array(values, "pt2d", (2, 68)).T - _FIRST_PIXEL, silhouette=True)


def read_aflw2000(images: Path, name: str) -> MatFace:
    """Read an item of AFLW2000-3D from ``NAME.mat``.

    Raises:
        ItemError: the file is missing or damaged.
    """
    values = _load(images / f"{name}.mat")
    return _face(values, _array(values, "pt3d_68", (3, 68)).T, silhouette=False)


def _face(values: dict[str, Any], landmarks: FloatArray, silhouette: bool) -> MatFace:
    check_extent(landmarks)
    pose = _array(values, "Pose_Para", (1, 7))[0]
    return MatFace(
        landmarks=np.ascontiguousarray(landmarks),
        silhouette=silhouette,
        pitch_yaw_roll=pose[:3],
        roi=_array(values, "roi", (1, 4))[0] if "roi" in values else None,
        pose=pose,
        shape=_array(values, "Shape_Para", (199, 1))[:, 0],
        expression=_array(values, "Exp_Para", (29, 1))[:, 0],
    )


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ItemError(f"there is no {path.name}")
    try:
        return dict(loadmat(path))
    except Exception as error:  # ValueError, TypeError, zlib.error: depends on the damage
        raise ItemError(f"{path.name} is damaged") from error


def _array(values: dict[str, Any], key: str, shape: tuple[int, int]) -> FloatArray:
    """Return an array of this shape, stored so or transposed."""
    if key not in values:
        raise ItemError(f"the .mat file has no {key}")
    array: NDArray[Any] = np.asarray(values[key])
    if array.dtype.kind not in "fiu" or array.shape not in (shape, shape[::-1]):
        raise ItemError(f"{key} has the shape {array.shape}, not {shape}")
    if not np.isfinite(array).all():
        raise ItemError(f"{key} contains NaN or infinity")
    out = array if array.shape == shape else array.T
    return out.astype(np.float32)
