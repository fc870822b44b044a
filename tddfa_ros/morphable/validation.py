"""Validation of the arrays of a morphable model: shapes, index ranges, finite values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError
from tddfa_ros.types import POSE_SIZE


def check_arrays(values: Mapping[str, Any]) -> None:
    """Validate the attributes of a ``MorphableModel``, given by name.

    Raises:
        ModelError: a shape, an index or a value is invalid; names the first violation.
    """
    mean, expressions = values["mean"], values["expression_names"]
    n = mean.shape[0] if mean.ndim == 2 else 0
    if n == 0:
        raise ModelError(f"a morphable model needs a mean of shape (N, 3), got {mean.shape}")
    shapes: dict[str, tuple[int | None, ...]] = {
        "mean": (n, 3),
        "shape_basis": (n, 3, None),
        "expression_basis": (n, 3, len(expressions)),
        "triangles": (None, 3),
        "coarse_indices": (None,),
        "coarse_triangles": (None, 3),
        "uv": (n, 2),
        "landmark_triangles": (68,),
        "landmark_weights": (68, 3),
        "regions": (n,),
    }
    for key, shape in shapes.items():
        _check_array(key, values[key], shape)
    for key, count, what in (
        ("triangles", n, "vertices"),
        ("coarse_indices", n, "vertices"),
        ("coarse_triangles", len(values["coarse_indices"]), "coarse vertices"),
        ("landmark_triangles", len(values["triangles"]), "triangles"),
        ("regions", len(values["region_names"]), "region names"),
    ):
        _check_range(key, values[key], count, what)
    weights = values["landmark_weights"]
    if not np.allclose(weights.sum(axis=1), 1.0, atol=1e-3) or weights.min() < -1e-3:
        raise ModelError("the morphable model's landmark_weights are not barycentric")
    size = POSE_SIZE + values["shape_basis"].shape[2] + len(expressions)
    size = size if values["parameter_space"] else 0
    _check_array("from_space", values["from_space"], (size, size))
    if len(set(expressions)) != len(expressions):
        raise ModelError("the morphable model has two expressions of the same name")


def _check_array(key: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ModelError(
            f"the morphable model's {key} has shape {array.shape}, expected ({wanted})"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(f"the morphable model's {key} contains NaN or infinity")


def _check_range(key: str, indices: NDArray[Any], count: int, what: str) -> None:
    if indices.size and not (int(indices.min()) >= 0 and int(indices.max()) < count):
        raise ModelError(f"the morphable model's {key} points outside its {count} {what}")
