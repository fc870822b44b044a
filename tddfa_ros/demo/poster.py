"""Summary image of a recording: overlay, shaded mesh and textured mesh side by side."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from tddfa_ros.demo.recording import Recording
from tddfa_ros.export.mesh import Mesh
from tddfa_ros.export.mesh_texture import mesh_texture
from tddfa_ros.export.parts import posed_parts
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.model_sheet import region_colors, render_head
from tddfa_ros.rendering.uv_surface import uv_pixels
from tddfa_ros.types import FloatArray, ImageBGR

_YAW = (28.0, -28.0)  # degrees to the subject's left: shaded, then textured mesh


def poster(recording: Recording, drawn: ImageBGR, model: MorphableModel) -> ImageBGR:
    """Render the best face of a recording: its overlay, and beside it the dense mesh shaded and textured, rotated.

    Args:
        recording: recording with a best face and its image.
        drawn: (H, W, 3) uint8 BGR overlay of that image.
        model: morphable model of the meshes.

    Returns:
        (H, W', 3) uint8 BGR; ``drawn`` when there is no best face.
    """
    best = recording.best
    image = recording.image(best.stamp) if best is not None else None
    if best is None or image is None:
        return drawn
    height = drawn.shape[0] // 2
    width = round(0.9 * height)
    # Camera frame (y down, z away) to a frame with y up and z toward the viewer.
    vertices = (best.vertices * np.array([1, -1, -1])).astype(np.float32)
    center = (0.5 * (vertices.min(0) + vertices.max(0))).astype(np.float32)
    meters = 1.12 * float(np.ptp(vertices[:, 1]))
    face = SimpleNamespace(vertices=best.image_vertices, params=best.params, model=model)
    texture = mesh_texture(face, image, 1024)
    teeth = posed_parts(face, Mesh(vertices, model.triangles))
    starts = np.cumsum([len(vertices), *(len(part.mesh.vertices) for part in teeth)])
    triangles = [part.mesh.triangles + start for part, start in zip(teeth, starts, strict=False)]
    panels = [
        render_head(
            np.concatenate([vertices, *(part.mesh.vertices for part in teeth)]),
            np.concatenate([model.triangles, *triangles]),
            np.concatenate([colors, *(part.colors for part in teeth)]),
            (height, width),
            meters=meters,
            center=center,
            yaw_deg=turn,
        )
        for colors, turn in zip(
            (region_colors(model), vertex_colors(texture, model.uv)), _YAW, strict=True
        )
    ]
    side = np.vstack(panels)
    rest = drawn.shape[0] - side.shape[0]
    if rest:
        side = np.vstack([side, np.repeat(side[-1:], rest, axis=0)])
    return np.hstack([drawn, side]).astype(np.uint8)


def vertex_colors(texture: ImageBGR, uv: FloatArray) -> FloatArray:
    """Sample the texture at every vertex, (N, 3) BGR 0..1, brightened to compensate for shading."""
    where = uv_pixels(uv, texture.shape[0])
    x, y = (np.ascontiguousarray(where[:, i : i + 1], dtype=np.float32) for i in (0, 1))
    sampled = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(sampled[:, 0] / 255.0 * 1.15, 0, 1), dtype=np.float32)
