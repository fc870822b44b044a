"""Validation of the arrays of a morphable model: shapes, index ranges, finite values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError

if TYPE_CHECKING:
    from tddfa_ros.morphable.model import MorphableModel


def check_model(model: MorphableModel) -> None:
    """Validate the arrays of a model; raise ModelError for the first violation."""
    n = model.mean.shape[0] if model.mean.ndim == 2 else 0
    if n == 0:
        raise ModelError(f"a morphable model needs a mean of shape (N, 3), got {model.mean.shape}")
    shapes: dict[str, tuple[int | None, ...]] = {
        "mean": (n, 3),
        "shape_basis": (n, 3, None),
        "expression_basis": (n, 3, len(model.expression_names)),
        "triangles": (None, 3),
        "coarse_indices": (None,),
        "coarse_triangles": (None, 3),
        "uv": (n, 2),
        "landmark_triangles": (68,),
        "landmark_weights": (68, 3),
        "regions": (n,),
    }
    for key, shape in shapes.items():
        _check_array(key, getattr(model, key), shape)
    _check_range("triangles", model.triangles, n, "vertices")
    _check_range("coarse_indices", model.coarse_indices, n, "vertices")
    _check_range(
        "coarse_triangles", model.coarse_triangles, len(model.coarse_indices), "coarse vertices"
    )
    _check_range("landmark_triangles", model.landmark_triangles, len(model.triangles), "triangles")
    _check_range("regions", model.regions, len(model.region_names), "region names")
    weights = model.landmark_weights
    if not np.allclose(weights.sum(axis=1), 1.0, atol=1e-3) or weights.min() < -1e-3:
        raise ModelError("the morphable model's landmark_weights are not barycentric")
    size = model.layout.size if model.parameter_space else 0
    _check_array("from_space", model.from_space, (size, size))
    if len(set(model.expression_names)) != len(model.expression_names):
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
