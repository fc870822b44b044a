"""Named places on a head for stickers and try-on objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.types import FloatArray

_NEIGHBORS = 12
_HIDDEN = ("inner_mouth", "tongue", "left_eye", "right_eye")
_EAR_ROOT = 0.006  # m, from an ear's top down to where the temples of glasses rest


@dataclass(frozen=True, eq=False)
class Place:
    """A point on the surface: (3,) vertices and (3,) barycentric weights."""

    corners: NDArray[np.int32]
    weights: FloatArray

    def on(self, values: FloatArray) -> FloatArray:
        """Interpolate vertex values (N, C), such as positions, at this place: (C,)."""
        return np.asarray(self.weights @ values[self.corners], dtype=np.float32)


def place_names() -> tuple[str, ...]:
    """Return all places; left and right are the person's own."""
    return tuple(_PLACES)


def check_place(name: str) -> None:
    """Raise ConfigError if the place is unknown."""
    if name not in _PLACES:
        raise ConfigError(f"unknown place '{name}' on a head: known are {', '.join(_PLACES)}")


@lru_cache(maxsize=64)
def find_place(model: MorphableModel, name: str) -> Place:
    """Find a place by name.

    Raises:
        ConfigError: the place is unknown. ModelError: the model does not include it.
    """
    check_place(name)
    return nearest_place(model, _PLACES[name](model, model.landmarks_of(model.mean)))


def nearest_place(model: MorphableModel, point: FloatArray) -> Place:
    """Return the approximately nearest point on the skin of the mean head to a point (3,), m, model frame."""
    skin = ~in_regions(model, _HIDDEN)
    away = np.where(skin, np.linalg.norm(model.mean - point, axis=1), np.inf)
    near = np.argpartition(away, _NEIGHBORS)[:_NEIGHBORS]
    triangles = model.triangles[np.isin(model.triangles, near).any(axis=1)]
    triangles = triangles[skin[triangles].all(axis=1)]
    if len(triangles) == 0:
        raise ModelError(f"{model.name} has no skin to place anything on")
    a, b, c = (model.mean[triangles[:, i]].astype(np.float64) for i in range(3))
    weights = _barycentric(point.astype(np.float64), a, b, c)
    found = np.einsum("tc,tcx->tx", weights, np.stack([a, b, c], axis=1))
    best = int(np.linalg.norm(found - point, axis=1).argmin())
    return Place(triangles[best], weights[best].astype(np.float32))


def _barycentric(
    p: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return barycentric weights (t, 3) of the projection of p to the planes of triangles, clipped to them."""
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (np.einsum("tx,tx->t", u, v) for u, v in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = (np.einsum("tx,tx->t", ap, v) for v in (ab, ac))
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    weights = np.clip(np.stack([1 - v - w, v, w], axis=1), 0, 1)
    return weights / weights.sum(axis=1, keepdims=True)


_Target = Callable[[MorphableModel, FloatArray], FloatArray]


def _mix(*shares: tuple[int, float]) -> _Target:
    """Return a place as a mixture of landmarks."""

    def target(_: MorphableModel, landmarks: FloatArray) -> FloatArray:
        return np.asarray(sum(share * landmarks[i] for i, share in shares), dtype=np.float32)

    return target


def _mean(first: int, last: int) -> _Target:
    return _mix(*((i, 1 / (last - first + 1)) for i in range(first, last + 1)))


def _forehead(model: MorphableModel, landmarks: FloatArray) -> FloatArray:
    """Return the place on the midline as far above the brows as the tip of the nose is below the sellion."""
    y = (landmarks[21, 1] + landmarks[22, 1]) / 2 + landmarks[27, 1] - landmarks[30, 1]
    return _foremost(model, 0.0, float(y))


def _cheek(side: int) -> _Target:
    outer, jaw = ((36, 2), (45, 14))[side]

    def target(model: MorphableModel, landmarks: FloatArray) -> FloatArray:
        y = 0.35 * landmarks[outer, 1] + 0.65 * landmarks[33, 1]
        x = 0.85 * landmarks[outer, 0] + 0.07 * landmarks[jaw, 0]
        return _foremost(model, float(x), float(y))

    return target


def _foremost(model: MorphableModel, x: float, y: float) -> FloatArray:
    """Return the foremost point of the face at (x, y), m."""
    front = (model.mean[:, 2] > np.median(model.mean[:, 2])) & ~in_regions(model, _HIDDEN)
    away = np.hypot(model.mean[:, 0] - x, model.mean[:, 1] - y)
    z = model.mean[np.where(front, away, np.inf).argmin(), 2]
    return np.array([x, y, z], np.float32)


def _ear(side: int) -> _Target:
    name, jaw = (("right_ear", 0), ("left_ear", 16))[side]

    def target(model: MorphableModel, landmarks: FloatArray) -> FloatArray:
        ear = model.mean[in_regions(model, (name,))]
        if len(ear) == 0:
            return landmarks[jaw]
        y = ear[:, 1].max() - _EAR_ROOT
        top = ear[ear[:, 1] > y - _EAR_ROOT]
        return np.array([np.abs(top[:, 0]).min() * (2 * side - 1), y, top[:, 2].max()], np.float32)

    return target


def _head_top(model: MorphableModel, _: FloatArray) -> FloatArray:
    if not in_regions(model, ("scalp",)).any():
        raise ModelError(f"{model.name} has no scalp, so nothing can be placed on top of the head")
    middle = np.abs(model.mean[:, 0]) < 0.01
    return model.mean[np.where(middle, model.mean[:, 1], -np.inf).argmax()] * np.array(
        [0, 1, 1], np.float32
    )


_PLACES: dict[str, _Target] = {
    "nose_bridge": _mix((27, 0.6), (28, 0.4)),
    "nose_tip": _mix((30, 1.0)),
    "forehead": _forehead,
    "head_top": _head_top,
    "left_ear": _ear(1),
    "right_ear": _ear(0),
    "left_eye": _mean(42, 47),
    "right_eye": _mean(36, 41),
    "left_cheek": _cheek(1),
    "right_cheek": _cheek(0),
    "moustache": _mix((33, 0.5), (51, 0.5)),
    "mouth": _mix((51, 0.5), (57, 0.5)),
    "chin": _mix((57, 0.35), (8, 0.65)),
}
