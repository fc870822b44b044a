"""Read try-on objects: triangles and colors of a GLB file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError
from tddfa_ros.export.mesh import package
from tddfa_ros.types import FloatArray, IntArray

PURPOSE = "objects to try on"
_SUFFIXES = (".glb", ".gltf")
_MOST = 2_000_000  # triangles
_GRAY = (0.75, 0.75, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh of one material.

    Attributes:
        vertices: (N, 3) m; x to the person's left, y up, z forward, as in glTF.
        triangles: (T, 3) int32.
        colors: (N, 4) R, G, B, opacity 0..1, multiplied with the texture.
        uv: (N, 2), v up; None without texture.
        texture: (h, w, 4) R, G, B, opacity 0..1; None without texture.
        transparent: whether any opacity is below 1.
    """

    vertices: FloatArray
    triangles: IntArray
    colors: FloatArray
    uv: FloatArray | None = None
    texture: FloatArray | None = None
    transparent: bool = False


@dataclass(frozen=True, eq=False)
class TryOnObject:
    """A try-on object of one or more parts."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> FloatArray:
        """Width, height and depth (3,), mm."""
        vertices = np.concatenate([part.vertices for part in self.parts])
        return np.asarray(1000 * np.ptp(vertices, axis=0), dtype=np.float32)


def read_object(path: Path) -> TryOnObject:
    """Read a GLB or glTF file: geometry in meters, base colors, vertex colors, base color textures.

    Raises:
        ModelError: the file is missing, is not glTF, or has no triangles. TddfaError: trimesh is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ModelError(f"an object must be a .glb or .gltf file, not {path.name}")
    if not path.is_file():
        raise ModelError(f"the object {path} does not exist")
    trimesh = package("trimesh", PURPOSE)
    try:
        scene = trimesh.load(path, force="scene", process=False)
    except Exception as error:  # readers raise different types
        raise ModelError(f"{path} is not a GLB file that can be read: {error}") from error
    return object_of_scene(scene, str(path))


def object_of_scene(scene: Any, name: str) -> TryOnObject:
    """Convert a ``trimesh.Scene`` with its transforms to an object.

    Raises:
        ModelError: no triangles, too many, or vertices that are not finite; ``name`` starts the message.
    """
    meshes = [mesh for mesh in scene.dump() if len(getattr(mesh, "faces", ())) > 0]
    if not meshes:
        raise ModelError(f"{name} has no triangles")
    if sum(len(mesh.faces) for mesh in meshes) > _MOST:
        raise ModelError(f"{name} has more than {_MOST:,} triangles")
    parts = tuple(_part(mesh) for mesh in meshes)
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise ModelError(f"{name} has vertices that are not finite")
    return TryOnObject(parts)


def _part(mesh: Any) -> Part:
    count = len(mesh.vertices)
    colors: FloatArray = np.tile(np.array(_GRAY, np.float32), (count, 1))
    uv = texture = None
    mode = "OPAQUE"
    visual = mesh.visual
    material = getattr(visual, "material", None)
    if material is not None:
        colors[:] = _factor(material)
        texture = _texture(material)
        uv = _uv(visual, count) if texture is not None else None
        texture = None if uv is None else texture
        mode = getattr(material, "alphaMode", None) or "OPAQUE"
        own = getattr(visual, "vertex_attributes", {}).get("color")
    else:
        own = getattr(visual, "vertex_colors", None)
        mode = "BLEND"
        colors[:] = 1
    if own is not None and np.shape(own)[0] == count:
        own = np.asarray(own)
        scale = 255.0 if own.dtype == np.uint8 else 1.0
        colors[:, : own.shape[1]] *= own.astype(np.float32) / np.float32(scale)
    seen_through = bool((colors[:, 3] < 0.99).any())
    if texture is not None:
        seen_through |= bool((texture[..., 3] < 0.99).any())
    if mode == "OPAQUE":
        colors[:, 3] = 1
        if texture is not None:
            texture[..., 3] = 1
    return Part(
        np.ascontiguousarray(mesh.vertices, dtype=np.float32),
        np.ascontiguousarray(mesh.faces, dtype=np.int32),
        colors,
        uv,
        texture,
        seen_through and mode != "OPAQUE",
    )


def _factor(material: Any) -> NDArray[np.float32]:
    """Return the base color (4,) 0..1 of a PBR or simple material."""
    factor = getattr(material, "baseColorFactor", None)
    if factor is None and not hasattr(material, "baseColorTexture"):
        factor = getattr(material, "diffuse", None)
    if factor is None:
        textured = getattr(material, "baseColorTexture", None) is not None
        return np.ones(4, np.float32) if textured else np.array(_GRAY, np.float32)
    factor = np.asarray(factor)
    scale = 255.0 if factor.dtype == np.uint8 else 1.0
    out = np.ones(4, np.float32)
    out[: len(factor)] = factor[:4] / scale
    return out


def _texture(material: Any) -> FloatArray | None:
    image = getattr(material, "baseColorTexture", None)
    if image is None:
        image = getattr(material, "image", None)
    if image is None:
        return None
    return np.asarray(image.convert("RGBA"), dtype=np.float32) / np.float32(255)


def _uv(visual: Any, count: int) -> FloatArray | None:
    uv = getattr(visual, "uv", None)
    if uv is None or np.shape(uv) != (count, 2):
        return None
    return np.asarray(uv, dtype=np.float32)
