"""Teeth of an exported face: meshes beside the dense mesh of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.export.mesh import Mesh
from tddfa_ros.morphable.teeth import PARTS, Teeth, moved_teeth, place_teeth, teeth_of
from tddfa_ros.types import FloatArray


@dataclass(frozen=True, eq=False)
class Part:
    """One part of an exported face.

    Attributes:
        name: ``upper_teeth`` or ``lower_teeth``, gums included.
        mesh: its mesh.
        colors: (n, 3) float32 BGR 0..1.
        gums: (n,) bool.
        targets: (n, 3, E) float32 m, displacement of each expression at 1; None if no expression moves the part.
    """

    name: str
    mesh: Mesh
    colors: FloatArray
    gums: NDArray[np.bool_]
    targets: FloatArray | None = None


def neutral_parts(face: Any) -> list[Part]:
    """Return the teeth of a face without pose and expression, m, model frame; none for a model without the inside of a mouth."""
    model, teeth = face.model, teeth_of(face.model)
    if teeth is None:
        return []
    params = np.array(face.params, dtype=np.float32)
    params[model.layout.expression_slice] = 0
    return _split(teeth, place_teeth(model, teeth, model.head(params)), moving=True)


def posed_parts(face: Any, mesh: Mesh) -> list[Part]:
    """Return the teeth of a face in the frame of ``mesh``, the exported mesh of the same face."""
    model, teeth = face.model, teeth_of(face.model)
    if teeth is None:
        return []
    params = np.array(face.params, dtype=np.float32)
    head = model.head(params)
    expression = params[model.layout.expression_slice].copy()
    params[model.layout.expression_slice] = 0
    placed = moved_teeth(model, teeth, model.head(params), expression)
    ones = np.ones((len(head), 1))
    # The frame of the mesh is an affine map of the model frame.
    to_mesh = np.linalg.lstsq(np.hstack([head, ones]), mesh.vertices.astype(float), rcond=None)[0]
    return _split(teeth, (placed @ to_mesh[:3] + to_mesh[3]).astype(np.float32), moving=False)


def _split(teeth: Teeth, vertices: FloatArray, *, moving: bool) -> list[Part]:
    out = []
    for name in PARTS:
        index, triangles = teeth.part(name)
        motion = teeth.motion[index] if moving and teeth.motion[index].any() else None
        mesh = Mesh(vertices[index], triangles)
        out.append(Part(name, mesh, teeth.colors[index], teeth.gums[index], motion))
    return out
