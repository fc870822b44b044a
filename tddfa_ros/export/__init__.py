"""Export faces as OBJ, PLY and GLB, with textures, morph targets and animation."""

from __future__ import annotations

from tddfa_ros.export.animation import FaceAnimation
from tddfa_ros.export.glb import write_glb
from tddfa_ros.export.mesh import Mesh, face_mesh
from tddfa_ros.export.obj import write_face_obj, write_obj
from tddfa_ros.export.ply import write_ply

__all__ = [
    "FaceAnimation",
    "Mesh",
    "face_mesh",
    "write_face_obj",
    "write_glb",
    "write_obj",
    "write_ply",
]
