"""Write binary Stanford PLY: vertices with normals, colors and texture coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.export.mesh import ExportableFace, Mesh, as_mesh, package, texture_image
from tddfa_ros.files import atomic_path
from tddfa_ros.rendering.shading import vertex_normals
from tddfa_ros.rendering.texture import Texture
from tddfa_ros.rendering.uv_surface import uv_pixels
from tddfa_ros.types import ImageBGR


def write_ply(
    path: str | Path,
    face_or_mesh: ExportableFace | Mesh,
    texture: Texture | ImageBGR | None = None,
) -> list[Path]:
    """Write a mesh as PLY (binary, little-endian) with smooth normals.

    PLY has no standard way to name a texture file, so the texture's color at each vertex is written instead, and the texture coordinates as
    the vertex properties ``s`` and ``t``.

    Args:
        path: the ``.ply`` file; its folder is created.
        face_or_mesh: a mesh, or a face, which is written in meters, camera at the origin looking along -z, y up.
        texture: UV texture, BGR, row 0 at v = 1; None = no colors.

    Returns:
        The written file.

    Raises:
        ModelError: the mesh and the texture do not fit together. TddfaError: the file cannot be written, or trimesh is not installed.
    """
    trimesh = package("trimesh", "PLY files")
    path, mesh = Path(path), as_mesh(face_or_mesh)
    image = texture_image(mesh, texture)
    solid = trimesh.Trimesh(
        mesh.vertices,
        mesh.triangles,
        vertex_normals=vertex_normals(mesh.vertices, mesh.triangles),
        vertex_colors=None if image is None else vertex_colors(mesh, image)[:, ::-1],
        process=False,
    )
    if mesh.uv is not None:
        solid.vertex_attributes["s"] = mesh.uv[:, 0].copy()
        solid.vertex_attributes["t"] = mesh.uv[:, 1].copy()
    content: Any = trimesh.exchange.ply.export_ply(solid, vertex_normal=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return [path]


def vertex_colors(mesh: Mesh, texture: ImageBGR) -> NDArray[np.uint8]:
    """Sample the texture at every vertex, (N, 3) uint8 BGR, bilinear."""
    height, width = texture.shape[:2]
    assert mesh.uv is not None
    x = np.ascontiguousarray(uv_pixels(mesh.uv, width)[:, :1])
    y = np.ascontiguousarray(uv_pixels(mesh.uv, height)[:, 1:2])
    sampled = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled[:, 0], dtype=np.uint8)
