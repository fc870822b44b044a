"""What people look at: overlays on images, rasterised meshes, textures and pictures of the morphable model."""

from __future__ import annotations

from tddfa_ros.rendering.overlay import MeshTopology, OverlayFace, OverlayOptions, draw_overlay
from tddfa_ros.rendering.raster import Raster, rasterize
from tddfa_ros.rendering.texture import sample_texture

__all__ = [
    "MeshTopology",
    "OverlayFace",
    "OverlayOptions",
    "Raster",
    "draw_overlay",
    "rasterize",
    "sample_texture",
]
