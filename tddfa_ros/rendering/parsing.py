"""Face parsing: classes of the regions of the morphable model, and maps of them.

Class indices are stored in files and trained into networks: never change one, only append.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.rendering.protocols import MeshFace, SurfaceModel, check_shape, far_to_near
from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.raster_numpy import weights_numpy
from tddfa_ros.rendering.shading import evened
from tddfa_ros.types import FloatArray


@dataclass(frozen=True)
class ParsingClass:
    """A class: name, regions of the model, and color (B, G, R)."""

    name: str
    regions: tuple[str, ...]
    color: tuple[int, int, int]


CLASSES: tuple[ParsingClass, ...] = (
    # Hair covers the scalp in most images, so the scalp occludes other surfaces but has no class.
    ParsingClass("background", ("scalp",), (0, 0, 0)),
    ParsingClass("skin", ("skin",), (152, 190, 236)),
    ParsingClass("brows", ("left_brow", "right_brow"), (34, 72, 120)),
    ParsingClass("eyes", ("left_eye", "right_eye"), (235, 160, 60)),
    ParsingClass("nose", ("nose",), (90, 200, 240)),
    ParsingClass("lips", ("upper_lip", "lower_lip"), (90, 60, 215)),
    ParsingClass("mouth", ("inner_mouth", "tongue"), (60, 20, 110)),
    ParsingClass("ears", ("left_ear", "right_ear"), (110, 180, 90)),
    ParsingClass("neck", ("neck",), (190, 130, 170)),
)
"""Classes by index: 0 background, 1 skin, 2 brows, 3 eyes, 4 nose, 5 lips, 6 mouth (inside), 7 ears, 8 neck."""

CLASS_NAMES = tuple(kind.name for kind in CLASSES)
_CLASS_OF = {region: index for index, kind in enumerate(CLASSES) for region in kind.regions}


def vertex_classes(model: SurfaceModel) -> NDArray[np.uint8]:
    """Return the class index (N,) of each vertex.

    Raises:
        ConfigError: a region of the model belongs to no class.
    """
    unknown = [name for name in model.region_names if name not in _CLASS_OF]
    if unknown:
        raise ConfigError(
            f"region {unknown[0]!r} of {model.name} belongs to no parsing class; known are {', '.join(_CLASS_OF)}"
        )
    return np.array([_CLASS_OF[name] for name in model.region_names], np.uint8)[model.regions]


@lru_cache(maxsize=4)
def class_shares(model: SurfaceModel) -> FloatArray:
    """Return the share of each class at each vertex, (N, C) float32 with sum 1, smoothed over neighbors.

    Shares are interpolated over the triangles, so class borders are smooth.
    """
    of_vertex = np.eye(len(CLASSES), dtype=np.float32)[vertex_classes(model)]
    return evened(of_vertex, model.triangles)


def render_parsing(
    model: SurfaceModel,
    vertices: FloatArray,
    shape: tuple[int, int],
    shares: FloatArray | None = None,
) -> NDArray[np.uint8]:
    """Render the class of the nearest surface.

    Args:
        vertices: (N, 3) px of the image, x right, y down, z nearer = larger.
        shape: (height, width).
        shares: shares of the classes at the vertices (N, C); None = :func:`class_shares`.

    Returns:
        (height, width) uint8 class indices; background outside the face.
    """
    out = np.zeros(shape, dtype=np.uint8)
    _draw(model, vertices, class_shares(model) if shares is None else shares, out)
    return out


def parsing_map(faces: Sequence[MeshFace], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Render the parsing map of all faces.

    Hair, beards, glasses and hands are not in the model and get the class of the surface behind them.

    Args:
        faces: faces of one image; near (large) faces occlude far ones.
        shape: shape of the image, (height, width) or more.

    Returns:
        (height, width) uint8 indices of :data:`CLASSES`; 0 outside the faces.

    Raises:
        ConfigError: a region of a model belongs to no class, or the shape has no height or width of at least 1.
    """
    out = np.zeros(check_shape(shape), dtype=np.uint8)
    for face in far_to_near(faces):
        _draw(face.model, face.vertices, class_shares(face.model), out)
    return out


def _draw(
    model: SurfaceModel, vertices: FloatArray, shares: FloatArray, out: NDArray[np.uint8]
) -> None:
    surface = visible_surface(vertices, model.triangles, (out.shape[0], out.shape[1]))
    classes = shares.argmax(axis=1).astype(np.uint8)[model.triangles]
    even = (classes == classes[:, :1]).all(axis=1)
    covered = np.flatnonzero(surface.mask)
    triangles = surface.triangle.ravel()[covered]
    out.ravel()[covered] = classes[triangles, 0]
    border = ~even[triangles]
    pixels, corners = covered[border], model.triangles[triangles[border]]
    weights = weights_numpy(surface.vertices, corners, *np.divmod(pixels, out.shape[1]))
    mixed = sum(weights[:, i, None] * shares[corners[:, i]] for i in range(3))
    out.ravel()[pixels] = np.argmax(mixed, axis=1)


def colorize(parsing: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Color-code class indices (h, w) as (h, w, 3) BGR; unknown indices are gray."""
    palette = np.full((256, 3), 128, dtype=np.uint8)
    palette[: len(CLASSES)] = [kind.color for kind in CLASSES]
    return palette[parsing]
