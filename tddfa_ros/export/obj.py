"""Write Wavefront OBJ with material and texture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tddfa_ros.export.mesh import (
    ExportableFace,
    Mesh,
    Units,
    as_mesh,
    face_mesh,
    png,
    texture_image,
)
from tddfa_ros.export.mesh_texture import mesh_texture
from tddfa_ros.export.parts import Part, posed_parts
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable.teeth import GUMS, IVORY
from tddfa_ros.rendering.shading import vertex_normals
from tddfa_ros.rendering.texture import Texture
from tddfa_ros.types import FloatArray, ImageBGR


class PaintedFace(ExportableFace, Protocol):
    """A face whose texture is taken from an image."""

    @property
    def params(self) -> FloatArray: ...


def write_face_obj(
    path: str | Path,
    face: PaintedFace,
    image_bgr: ImageBGR | None = None,
    *,
    units: Units = "m",
    texture_size: int = 512,
    iris: FloatArray | None = None,
) -> list[Path]:
    """Write a face as OBJ, textured from its image.

    Args:
        path: the ``.obj`` file; ``.mtl`` and ``.png`` get the same stem.
        face: the face.
        image_bgr: (H, W, 3) uint8, image of the face; None = no texture.
        units: see :func:`tddfa_ros.export.mesh.face_mesh`.
        texture_size: side of the texture, px.
        iris: (3,) BGR 0..255 of the irises; None = measured in the image, else brown.

    Returns:
        The written files.
    """
    mesh = face_mesh(face, units, None if image_bgr is None else image_bgr.shape[0])
    texture = None
    if image_bgr is not None:
        texture = mesh_texture(face, image_bgr, texture_size, iris)
    return _write(Path(path), mesh, texture, posed_parts(face, mesh))


def write_obj(
    path: str | Path,
    face_or_mesh: ExportableFace | Mesh,
    texture: Texture | ImageBGR | None = None,
) -> list[Path]:
    """Write a mesh as OBJ with smooth normals, and its material and texture beside it.

    A face is written with its teeth, as the objects ``upper_teeth`` and ``lower_teeth``.

    Args:
        path: the ``.obj`` file; its folder is created.
        face_or_mesh: a mesh, or a face, which is written in meters, camera at the origin looking along -z, y up.
        texture: UV texture, BGR, row 0 at v = 1; None = no texture.

    Returns:
        The written files: the ``.obj``, and with a texture the ``.mtl`` and ``.png``.

    Raises:
        ModelError: the mesh and the texture do not fit together. TddfaError: a file cannot be written.
    """
    mesh = as_mesh(face_or_mesh)
    parts = [] if isinstance(face_or_mesh, Mesh) else posed_parts(face_or_mesh, mesh)
    return _write(Path(path), mesh, texture, parts)


def _write(
    path: Path, mesh: Mesh, texture: Texture | ImageBGR | None, more: Sequence[Part]
) -> list[Path]:
    image = texture_image(mesh, texture)
    parts = [f"# {len(mesh.vertices)} vertices, {len(mesh.triangles)} triangles\n"]
    if image is not None:
        parts.append(f"mtllib {_token(path.stem)}.mtl\n")
    parts.append(f"o {_token(path.stem)}\n")
    # 9 significant digits represent float32 exactly.
    parts.append(_rows("v %.9g %.9g %.9g\n", mesh.vertices))
    if mesh.uv is not None:
        parts.append(_rows("vt %.9g %.9g\n", mesh.uv))
    parts.append(_rows("vn %.4f %.4f %.4f\n", vertex_normals(mesh.vertices, mesh.triangles)))
    if image is not None:
        parts.append("usemtl face\n")
    parts.append("s 1\n")
    index = np.asarray(mesh.triangles, dtype=np.int64) + 1
    pattern = (
        "f %d/%d/%d %d/%d/%d %d/%d/%d\n" if mesh.uv is not None else "f %d//%d %d//%d %d//%d\n"
    )
    parts.append(_rows(pattern, np.repeat(index, 3 if mesh.uv is not None else 2, axis=1)))
    parts += _part_texts(more, len(mesh.vertices), image is not None)
    written = [path] if image is None else [path, *_write_material(path, image)]
    _write_text(path, "".join(parts))
    return written


def _part_texts(more: Sequence[Part], count: int, materials: bool) -> list[str]:
    """Return the text of meshes after ``count`` vertices, in groups of one material each."""
    out = []
    for part in more:
        vertices, triangles = part.mesh.vertices, part.mesh.triangles
        out.append(f"o {part.name}\n")
        out.append(_rows("v %.9g %.9g %.9g\n", vertices))
        out.append(_rows("vn %.4f %.4f %.4f\n", vertex_normals(vertices, triangles)))
        gums = part.gums[triangles].all(axis=1)
        for name, chosen in (("teeth", ~gums), ("gums", gums)):
            if materials:
                out.append(f"usemtl {name}\n")
            index = triangles[chosen].astype(np.int64) + 1 + count
            out.append(_rows("f %d//%d %d//%d %d//%d\n", np.repeat(index, 2, axis=1)))
        count += len(vertices)
    return out


def _rows(pattern: str, rows: Any) -> str:
    return (pattern * len(rows)) % tuple(np.asarray(rows).ravel().tolist())


def _write_material(path: Path, texture: ImageBGR) -> list[Path]:
    image, material = path.with_suffix(".png"), path.with_suffix(".mtl")
    with atomic_path(image) as temporary:
        temporary.write_bytes(png(texture))
    head = "newmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\n"
    plain = [
        "\nnewmtl {}\nKd {:.2f} {:.2f} {:.2f}\nKs 0.1 0.1 0.1\nillum 2\n".format(name, *color[::-1])
        for name, color in (("teeth", IVORY), ("gums", GUMS))
    ]
    _write_text(material, f"{head}map_Kd {_token(image.name)}\n{''.join(plain)}")
    return [material, image]


def _token(name: str) -> str:
    """Return a file name on one line; the formats have no escapes, so other line breaks end the reference."""
    return " ".join(name.splitlines())


def _write_text(path: Path, text: str) -> None:
    """Write UTF-8; names of files that are not UTF-8 keep their bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
