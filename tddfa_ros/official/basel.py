"""The Basel Face Model of 3DDFA_V2 (``bfm_noneck_v3.pkl``, ``bfm_noneck_v3_slim.pkl``) as a morphable model of this package.

The file holds ``u`` (3N, 1), ``w_shp`` (3N, 40 or more), ``w_exp`` (3N, 10 or more), xyz of each vertex in a row, in micrometers, x to the
person's left, y up, z out of the face; and ``keypoints`` (204,), the rows of the 68 landmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tddfa_ros.errors import ModelError
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.official.coarse import cluster
from tddfa_ros.official.regions import REGION_NAMES, regions_from_landmarks
from tddfa_ros.official.space import METERS, SPACE, from_space
from tddfa_ros.official.whitening import LAYOUT, Whitening
from tddfa_ros.types import FloatArray, IntArray

LICENSE = "academic use only"
_PLAUSIBLE_WIDTH = (0.05, 0.5)  # m, of the 68 landmarks


@dataclass(frozen=True, eq=False)
class Basel:
    """Content of the file.

    Attributes:
        mean: (N, 3) float32 micrometers.
        shape, expression: (3N, 40) and (3N, 10) float32, micrometers per unit.
        landmarks: (68,) vertices.
        triangles: (T, 3), or None if the file has none.
    """

    mean: FloatArray
    shape: FloatArray
    expression: FloatArray
    landmarks: IntArray
    triangles: IntArray | None

    @classmethod
    def parse(cls, content: Any, name: str) -> Basel | None:
        """Parse the content of a file; return None if it is not a Basel Face Model.

        Raises:
            ModelError: the arrays of the model are inconsistent.
        """
        if not isinstance(content, Mapping) or not {"u", "w_shp", "w_exp"} <= set(content):
            return None
        if "keypoints" not in content:
            raise ModelError(f"{name} is a morphable model without keypoints, the 68 landmarks")
        mean = np.asarray(content["u"], np.float32).ravel()
        shape, expression = (np.asarray(content[key], np.float32) for key in ("w_shp", "w_exp"))
        for key, basis, wanted in (
            ("w_shp", shape, LAYOUT.shape),
            ("w_exp", expression, LAYOUT.expression),
        ):
            if basis.ndim != 2 or len(basis) != len(mean) or basis.shape[1] < wanted:
                raise ModelError(
                    f"{name} has {key} of shape {basis.shape}, expected ({len(mean)}, {wanted} or more)"
                )
        if not (len(mean) and len(mean) % 3 == 0):
            raise ModelError(f"{name} has u of {len(mean)} numbers, which is not 3 per vertex")
        rows = np.asarray(content["keypoints"]).ravel().astype(np.int64)
        if rows.shape != (204,) or rows.min() < 0 or rows.max() >= len(mean):
            raise ModelError(f"{name} has keypoints that are not 3 x 68 of its {len(mean)} rows")
        triangles = content.get("tri")
        return cls(
            mean.reshape(-1, 3),
            shape[:, : LAYOUT.shape],
            expression[:, : LAYOUT.expression],
            (rows[::3] // 3).astype(np.int32),
            None if triangles is None else parse_triangles(triangles),
        )


def parse_triangles(content: Any) -> IntArray | None:
    """Parse triangles (T, 3) from ``tri.pkl``'s (3, T) or its transpose; return None for other content."""
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "iu" or content.ndim != 2:
        return None
    if 3 not in content.shape or content.size < 9:
        return None
    rows = content.T if content.shape[0] == 3 else content
    return np.ascontiguousarray(rows, np.int32)


def to_morphable(
    basel: Basel,
    triangles: IntArray,
    whitening: Whitening,
    uv: FloatArray | None,
    *,
    name: str,
    provenance: str,
) -> MorphableModel:
    """Convert to a model in meters, centered at the mean of its landmarks, with coefficients of unit standard deviation.

    Args:
        basel: parsed file.
        triangles: (T, 3) in either orientation.
        whitening: of 3DDFA_V2; provides the standard deviations.
        uv: (N, 2), v up; None for a cylindrical projection.
        name, provenance: descriptive texts.

    Raises:
        ModelError: the arrays are inconsistent, or not in micrometers.
    """
    points = basel.mean[basel.landmarks].astype(np.float64)
    width = float(np.ptp(points[:, 0]) * METERS)
    if not _PLAUSIBLE_WIDTH[0] < width < _PLAUSIBLE_WIDTH[1]:
        raise ModelError(f"{name} is not in micrometers: its face would be {width:.3g} m wide")
    count = len(basel.mean)
    if triangles.min() < 0 or triangles.max() >= count:
        raise ModelError(
            f"the triangles belong to another mesh than {name}, which has {count} vertices"
        )
    origin = points.mean(axis=0)
    mean = ((basel.mean - origin) * METERS).astype(np.float32)
    triangles = _outward(mean, triangles)
    std = whitening.coefficient_std
    coarse_indices, coarse_triangles = cluster(mean, triangles)
    landmark_triangles, landmark_weights = _at_vertices(basel.landmarks, triangles, name)
    return MorphableModel.create(
        half=False,
        mean=mean,
        shape_basis=_basis(basel.shape, std[: LAYOUT.shape]),
        expression_basis=_basis(basel.expression, std[LAYOUT.shape :]),
        triangles=triangles,
        coarse_indices=coarse_indices,
        coarse_triangles=coarse_triangles,
        uv=_cylindrical(mean) if uv is None else uv,
        landmark_triangles=landmark_triangles,
        landmark_weights=landmark_weights,
        regions=regions_from_landmarks(mean, mean[basel.landmarks]),
        region_names=REGION_NAMES,
        expression_names=tuple(f"expression{i:02d}" for i in range(1, LAYOUT.expression + 1)),
        name=name,
        license=LICENSE,
        provenance=provenance,
        parameter_space=SPACE,
        from_space=from_space(origin.astype(np.float32), std),
    )


def _basis(rows: FloatArray, std: FloatArray) -> FloatArray:
    scaled = rows.astype(np.float64) * (METERS * std.astype(np.float64))
    return scaled.reshape(-1, 3, rows.shape[1]).astype(np.float32)


def _outward(mean: FloatArray, triangles: IntArray) -> IntArray:
    """Orient triangles counter-clockwise seen from outside: positive volume over a point behind the face."""
    behind = np.array([*mean[:, :2].mean(axis=0), mean[:, 2].min()], np.float64)
    a, b, c = (mean[triangles[:, i]] - behind for i in range(3))
    volume = np.einsum("ti,ti->", a, np.cross(b, c))
    return triangles if volume >= 0 else np.ascontiguousarray(triangles[:, ::-1])


def _at_vertices(vertices: IntArray, triangles: IntArray, name: str) -> tuple[IntArray, FloatArray]:
    """Return triangle (68,) and weights (68, 3) of landmarks that are vertices."""
    flat = triangles.ravel()
    order = np.argsort(flat, kind="stable")
    place = np.searchsorted(flat[order], vertices)
    place = order[np.minimum(place, len(order) - 1)]
    if not np.array_equal(flat[place], vertices):
        raise ModelError(f"a landmark of {name} is a vertex without triangles")
    return (place // 3).astype(np.int32), np.eye(3, dtype=np.float32)[place % 3]


def _cylindrical(mean: FloatArray) -> FloatArray:
    """Compute cylindrical uv (N, 2) in 0..1: angle about the vertical axis behind the face, and height."""
    behind = mean[:, 2].min() - 0.01
    angle = np.arctan2(mean[:, 0], mean[:, 2] - behind)
    flat = np.stack([angle, mean[:, 1]], axis=1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return ((flat - low) / np.maximum(high - low, 1e-9)).astype(np.float32)
