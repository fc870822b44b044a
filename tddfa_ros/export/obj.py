"""Wavefront OBJ with material and texture: the mesh format every 3D program opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from tddfa_ros.errors import ModelError, TddfaError
from tddfa_ros.rendering.shading import vertex_normals
from tddfa_ros.rendering.texture import sample_texture
from tddfa_ros.types import FloatArray, ImageBGR, IntArray


class ExportableFace(Protocol):
    """What the export needs from a ``Face``."""

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def vertices_metric(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


def write_face_obj(
    path: str | Path,
    face: ExportableFace,
    image_bgr: ImageBGR | None = None,
    *,
    units: Literal["m", "px"] = "m",
    texture_size: int = 512,
) -> list[Path]:
    """Write a face as OBJ, with the image it was found in as texture.

    Args:
        path: where the ``.obj`` goes; ``.mtl`` and ``.png`` get the same stem.
        face: the face.
        image_bgr: (H, W, 3) uint8, the image it was found in; None = no texture.
        units: ``m``: metres, camera at the origin looking along -z; ``px``: image pixels, origin in the lower left.
            Both have y up and are right-handed, as OpenGL and Blender have it.
        texture_size: side of the texture, px.

    Returns:
        The files written.
    """
    if units == "m":
        vertices = face.vertices_metric * np.array([1, -1, -1], dtype=np.float32)
    elif units == "px":
        vertices = face.vertices * np.array([1, -1, 1], dtype=np.float32)
        if image_bgr is not None:
            vertices[:, 1] += image_bgr.shape[0] - 1
    else:
        raise ValueError(f"units must be 'm' or 'px', not {units!r}")
    texture = None if image_bgr is None else sample_texture(image_bgr, face, texture_size)
    return write_obj(path, vertices, face.model.triangles, face.model.uv, texture)


def write_obj(
    path: str | Path,
    vertices: FloatArray,
    triangles: IntArray,
    uv: FloatArray | None = None,
    texture: ImageBGR | None = None,
) -> list[Path]:
    """Write a triangle mesh as OBJ with smooth normals, and its material and texture beside it.

    Args:
        path: of the ``.obj``; its folder is made when it is missing.
        vertices: (N, 3), written as they are. triangles: (T, 3) indices from 0, counter-clockwise seen from outside.
        uv: (N, 2) texture coordinates, v up; None = none.
        texture: (H, W, 3) uint8 BGR, row 0 at v = 1; needs ``uv``.

    Returns:
        The files written: the ``.obj``, and with a texture the ``.mtl`` and ``.png``.

    Raises:
        ModelError: shapes do not fit together. TddfaError: a file cannot be written.
    """
    path = Path(path)
    _check(vertices, triangles, uv, texture)
    normals = vertex_normals(np.asarray(vertices, np.float32), np.asarray(triangles, np.int32))
    parts = [f"# {len(vertices)} vertices, {len(triangles)} triangles\n"]
    if texture is not None:
        parts.append(f"mtllib {path.stem}.mtl\n")
    parts.append(f"o {path.stem}\n")
    # 7 significant digits keep float32 whole whatever the unit.
    parts.append(_rows("v %.7g %.7g %.7g\n", vertices))
    if uv is not None:
        parts.append(_rows("vt %.6f %.6f\n", uv))
    parts.append(_rows("vn %.4f %.4f %.4f\n", normals))
    if texture is not None:
        parts.append("usemtl face\n")
    parts.append("s 1\n")
    index = np.asarray(triangles, dtype=np.int64) + 1
    pattern = "f %d/%d/%d %d/%d/%d %d/%d/%d\n" if uv is not None else "f %d//%d %d//%d %d//%d\n"
    parts.append(_rows(pattern, np.repeat(index, 3 if uv is not None else 2, axis=1)))
    written = [path]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(parts), encoding="ascii")
        if texture is not None:
            written += _write_material(path, texture)
    except OSError as error:
        raise TddfaError(f"cannot write {path}: {error.strerror or error}") from error
    return written


def _rows(pattern: str, rows: Any) -> str:
    return (pattern * len(rows)) % tuple(np.asarray(rows).ravel().tolist())


def _write_material(path: Path, texture: ImageBGR) -> list[Path]:
    image, material = path.with_suffix(".png"), path.with_suffix(".mtl")
    done, encoded = cv2.imencode(".png", texture)
    if not done:
        raise TddfaError(f"cannot encode the texture {image}")
    image.write_bytes(encoded.tobytes())
    material.write_text(
        f"newmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {image.name}\n",
        encoding="ascii",
    )
    return [material, image]


def _check(
    vertices: FloatArray, triangles: IntArray, uv: FloatArray | None, texture: ImageBGR | None
) -> None:
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
    if texture is not None and uv is None:
        raise ModelError("a texture needs uv coordinates")
