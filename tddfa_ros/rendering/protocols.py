"""Protocols of the meshes and faces to draw; ``MorphableModel`` and ``Face`` implement them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import FloatArray, IntArray

INSIDE_MOUTH = ("inner_mouth", "tongue")
"""Regions visible only through an open mouth."""


class SurfaceModel(Protocol):
    """A mesh with texture coordinates and named regions; hashable, as derived values are cached."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def mean(self) -> FloatArray: ...

    @property
    def triangles(self) -> IntArray: ...

    @property
    def uv(self) -> FloatArray: ...

    @property
    def regions(self) -> NDArray[np.uint8]: ...

    @property
    def region_names(self) -> tuple[str, ...]: ...


class MeshFace(Protocol):
    """A face as a mesh in an image: ``vertices`` (N, 3) px, z nearer = larger; ``model`` is a :class:`SurfaceModel`."""

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


DrawnFace = TypeVar("DrawnFace", bound=MeshFace)


def far_to_near(faces: Sequence[DrawnFace]) -> list[DrawnFace]:
    """Return finite faces in drawing order: smaller faces count as farther away."""
    drawable = [face for face in faces if np.isfinite(face.vertices).all()]
    return sorted(drawable, key=lambda face: float(np.prod(np.ptp(face.vertices[:, :2], axis=0))))


def in_regions(model: SurfaceModel, names: Collection[str]) -> NDArray[np.bool_]:
    """Return a bool mask (N,) of the vertices in the named regions."""
    wanted = [i for i, name in enumerate(model.region_names) if name in names]
    return np.isin(model.regions, wanted)


def check_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return height and width of an image shape.

    Raises:
        ConfigError: a side is missing or below 1 px.
    """
    if len(shape) < 2 or shape[0] < 1 or shape[1] < 1:
        raise ConfigError(f"a map needs a height and a width of at least 1 px, not {tuple(shape)}")
    return int(shape[0]), int(shape[1])
