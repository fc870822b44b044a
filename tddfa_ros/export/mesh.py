"""Meshes for export: vertices, triangles and texture coordinates of a face."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from tddfa_ros.errors import ConfigError, ModelError, TddfaError
from tddfa_ros.rendering.texture import Texture
from tddfa_ros.types import FloatArray, ImageBGR, IntArray, check_image


def package(name: str, purpose: str) -> Any:
    """Import a package of the extra ``export``.

    Raises:
        TddfaError: the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TddfaError(f"{purpose} require the package {name}: pip install {name}") from error


Units = Literal["m", "px"]


class ExportableFace(Protocol):
    """The part of a ``Face`` that is exported."""

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def vertices_metric(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (N, 3), written unchanged; web formats and Blender expect y up.
        triangles: (T, 3) indices from 0, counter-clockwise seen from outside.
        uv: (N, 2) texture coordinates, v up; None = none.

    Raises:
        ModelError: the shapes do not fit together, vertices are not finite, or triangle indices are out of range.
    """

    vertices: FloatArray
    triangles: IntArray
    uv: FloatArray | None = None

    def __post_init__(self) -> None:
        vertices, triangles, uv = self.vertices, self.triangles, self.uv
        if np.ndim(vertices) != 2 or np.shape(vertices)[1] != 3:
            raise ModelError(f"a mesh needs (N, 3) vertices, not {np.shape(vertices)}")
        if not np.isfinite(vertices).all():
            raise ModelError("a mesh with vertices that are NaN or infinite cannot be written")
        if np.ndim(triangles) != 2 or np.shape(triangles)[1] != 3:
            raise ModelError(f"a mesh needs (T, 3) triangles, not {np.shape(triangles)}")
        if len(triangles) and not (np.min(triangles) >= 0 and np.max(triangles) < len(vertices)):
            raise ModelError(f"triangles point at vertices outside 0..{len(vertices) - 1}")
        if uv is not None and np.shape(uv) != (len(vertices), 2):
            raise ModelError(
                f"{len(vertices)} vertices need ({len(vertices)}, 2) uv, not {np.shape(uv)}"
            )
        object.__setattr__(self, "vertices", np.ascontiguousarray(vertices, dtype=np.float32))
        object.__setattr__(self, "triangles", np.ascontiguousarray(triangles, dtype=np.int32))
        if uv is not None:
            object.__setattr__(self, "uv", np.ascontiguousarray(uv, dtype=np.float32))


def face_mesh(face: ExportableFace, units: Units = "m", height: int | None = None) -> Mesh:
    """Return the mesh of a face, right-handed with y up, as in OpenGL, glTF and Blender.

    Args:
        units: ``m``: meters, camera at the origin looking along -z; ``px``: image pixels, z as in ``face.vertices``.
        height: image height, px, to move the origin of ``px`` to the lower left corner; None = y is negative.

    Raises:
        ConfigError: the units are unknown. CameraError: the units are meters and the face has no intrinsics.
    """
    if units == "m":
        vertices = face.vertices_metric * np.array([1, -1, -1], dtype=np.float32)
    elif units == "px":
        vertices = face.vertices * np.array([1, -1, 1], dtype=np.float32)
        vertices[:, 1] += 0 if height is None else height - 1
    else:
        raise ConfigError(f"units must be 'm' or 'px', not {units!r}")
    return Mesh(vertices, face.model.triangles, face.model.uv)


def as_mesh(face_or_mesh: ExportableFace | Mesh) -> Mesh:
    """Return a mesh unchanged, or the mesh of a face in meters."""
    return face_or_mesh if isinstance(face_or_mesh, Mesh) else face_mesh(face_or_mesh)


def texture_image(mesh: Mesh, texture: Texture | ImageBGR | None) -> ImageBGR | None:
    """Return the checked image of a texture.

    Raises:
        ImageError: the image is not (H, W, 3) uint8. ModelError: the mesh has no texture coordinates.
    """
    if texture is None:
        return None
    image = texture.image if isinstance(texture, Texture) else texture
    check_image(image, "the texture")
    if mesh.uv is None:
        raise ModelError("a texture needs uv coordinates")
    return image


def png(image: ImageBGR) -> bytes:
    """Encode an image as PNG."""
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise TddfaError("cannot encode the texture as PNG")
    return bytes(encoded.tobytes())
