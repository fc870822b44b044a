"""Draw faces: overlays, rasterized meshes, depth, PNCC and parsing maps, UV textures, model sheets."""

from __future__ import annotations

from tddfa_ros.rendering.maps import color_depth, depth_map, pncc
from tddfa_ros.rendering.overlay import MeshTopology, OverlayFace, OverlayOptions, draw_overlay
from tddfa_ros.rendering.parsing import CLASSES, colorize, parsing_map
from tddfa_ros.rendering.pose_box import draw_pose_box
from tddfa_ros.rendering.raster import Raster, Surface, rasterize, visible_surface
from tddfa_ros.rendering.texture import Texture, sample_texture, uv_texture
from tddfa_ros.rendering.uv_surface import uv_position_map

__all__ = [
    "CLASSES",
    "MeshTopology",
    "OverlayFace",
    "OverlayOptions",
    "Raster",
    "Surface",
    "Texture",
    "color_depth",
    "colorize",
    "depth_map",
    "draw_overlay",
    "draw_pose_box",
    "parsing_map",
    "pncc",
    "rasterize",
    "sample_texture",
    "uv_position_map",
    "uv_texture",
    "visible_surface",
]
