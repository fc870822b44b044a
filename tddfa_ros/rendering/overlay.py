"""Draw faces on their image: translucent mesh, 68 landmarks, pose box, axes and caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.rendering.captions import draw_caption, draw_text, face_size
from tddfa_ros.rendering.pose_box import head_axes, outline_pose_box
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import image_normals, lambert
from tddfa_ros.rendering.style import SUBPIXEL_DIGITS, line_scale, tint_of
from tddfa_ros.types import FloatArray, ImageBGR, IntArray, check_image

SELLION_LANDMARK = 27

IBUG_GROUPS: dict[str, tuple[tuple[int, ...], bool]] = {
    "jaw": (tuple(range(17)), False),
    "right_brow": (tuple(range(17, 22)), False),
    "left_brow": (tuple(range(22, 27)), False),
    "nose_bridge": (tuple(range(27, 31)), False),
    "nostrils": (tuple(range(31, 36)), False),
    "right_eye": (tuple(range(36, 42)), True),
    "left_eye": (tuple(range(42, 48)), True),
    "outer_lips": (tuple(range(48, 60)), True),
    "inner_lips": (tuple(range(60, 68)), True),
}
"""The iBUG-68 points as polylines: name -> (indices, closed)."""

_AXES = ((80, 80, 245), (90, 220, 90), (245, 160, 60))  # x red, y green, z blue, as in RViz
# Longest side, px, of the map of light on a mesh: what the rasterizer draws in a few milliseconds.
_LIGHT_RESOLUTION = 240


class MeshTopology(Protocol):
    """The part of a ``MorphableModel`` that the overlay uses."""

    @property
    def triangles(self) -> IntArray: ...

    @property
    def coarse_triangles(self) -> IntArray: ...


class DrawableFace(Protocol):
    """The part of a face that the overlay uses; ``Face``, ``TrackedFace`` and ``OverlayFace`` implement it."""

    @property
    def confidence(self) -> float: ...

    @property
    def landmarks68(self) -> FloatArray: ...

    @property
    def vertices(self) -> FloatArray: ...

    @property
    def coarse_vertices(self) -> FloatArray: ...

    @property
    def yaw_pitch_roll(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class OverlayFace:
    """A face to draw from plain arrays, such as those of a message or file.

    Attributes:
        landmarks68: (68, 3) image px.
        vertices: (N, 3) image px; empty = no dense mesh.
        coarse_vertices: (M, 3) image px; empty = no mesh.
        yaw_pitch_roll: (3,) degrees.
        distance: distance of the sellion from the camera, m; None = not shown.
    """

    id: str
    confidence: float
    landmarks68: FloatArray
    yaw_pitch_roll: Any
    coarse_vertices: FloatArray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    vertices: FloatArray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    distance: float | None = None


@dataclass(frozen=True)
class OverlayOptions:
    """Elements to draw; ``opacity`` of the mesh, 0..1; ``fps`` is shown in the corner unless None."""

    mesh: Literal["coarse", "dense", "none"] = "coarse"
    opacity: float = 0.5
    landmarks: bool = True
    axes: bool = True
    box: bool = True
    caption: bool = True
    fps: float | None = None
    note: str = ""


def draw_overlay(
    image_bgr: ImageBGR,
    faces: Sequence[DrawableFace],
    model: MeshTopology | None = None,
    options: OverlayOptions | None = None,
) -> ImageBGR:
    """Return a copy of the image with the faces drawn on it.

    Args:
        image_bgr: (H, W, 3) uint8.
        faces: drawn from the smallest (farthest) to the largest, so that near faces occlude far ones.
        model: provides the triangles; None = no mesh.
        options: elements to draw.

    Raises:
        ImageError: the image is not (H, W, 3) uint8.
    """
    check_image(image_bgr, "the image for an overlay")
    options = options or OverlayOptions()
    canvas: ImageBGR = image_bgr.copy()
    drawable = [f for f in faces if np.isfinite(f.landmarks68).all()]
    drawable.sort(key=lambda face: face_size(face.landmarks68))
    scale = line_scale(canvas)
    for face in drawable:
        tint = tint_of(getattr(face, "id", ""))
        if model is not None and options.mesh != "none":
            _draw_mesh(canvas, face, model, options, tint)
        if options.box:
            outline_pose_box(canvas, face, tint, scale)
        if options.landmarks:
            _draw_landmarks(canvas, face.landmarks68, scale)
        if options.axes:
            _draw_axes(canvas, face, scale)
    if options.caption:
        placed: list[tuple[int, int, int, int]] = []
        for face in reversed(drawable):  # the nearest face gets the best place
            draw_caption(canvas, face, tint_of(getattr(face, "id", "")), scale, placed)
    corner = f"{options.fps:.1f} fps" if options.fps is not None else ""
    corner = "  ".join(part for part in (corner, options.note) if part)
    if corner:
        draw_text(canvas, [corner], (round(10 * scale), round(10 * scale)), scale, (235, 235, 235))
    return canvas


def _draw_mesh(
    canvas: ImageBGR,
    face: DrawableFace,
    model: MeshTopology,
    options: OverlayOptions,
    tint: tuple[int, int, int],
) -> None:
    dense = options.mesh == "dense" and len(face.vertices) > 0
    vertices = face.vertices if dense else face.coarse_vertices
    triangles = model.triangles if dense else model.coarse_triangles
    if len(vertices) == 0 or not np.isfinite(vertices).all():
        return
    height, width = canvas.shape[:2]
    points = np.ascontiguousarray(vertices[:, :2].T)
    low = np.maximum(np.floor(points.min(axis=1)).astype(int), 0)
    high = np.minimum(np.ceil(points.max(axis=1)).astype(int) + 1, [width, height])
    if (high - low < 2).any():
        return
    normals = image_normals(vertices, triangles)
    # Brightness comes from the key light; opacity falls where the surface turns away, so the mesh ends softly.
    light = np.ones((len(vertices), 3), dtype=np.float32)
    light[:, 0] = lambert(normals, ambient=0.22, specular=0.3)
    light[:, 1] = np.clip(normals[:, 2] * 2.5, 0.15, 1)
    extent = high - low
    # Light is smooth: a large face is lit at a lower resolution, which bounds the time and softens the outline.
    shrink = max(1.0, float(extent.max()) / _LIGHT_RESOLUTION)
    size = np.maximum(np.ceil(extent / shrink).astype(int), 2)
    local = np.empty(vertices.shape, np.float32)
    for axis, origin in enumerate((low[0] - 0.5, low[1] - 0.5, 0.0)):
        np.subtract(vertices[:, axis], np.float32(origin), out=local[:, axis])
    local *= np.float32(1 / shrink)
    local[:, :2] -= np.float32(0.5)  # centers of the larger pixels
    raster = rasterize(local, triangles, light, (int(size[1]), int(size[0])), cull_backfaces=True)
    lit: Any = raster.values
    if shrink > 1:
        full = np.ceil(size * shrink).astype(int)
        lit = cv2.resize(lit, (int(full[0]), int(full[1])))[: extent[1], : extent[0]]
    _blend(canvas[low[1] : high[1], low[0] : high[0]], lit, tint, options.opacity)


def _blend(
    region: NDArray[np.uint8], light: FloatArray, tint: tuple[int, int, int], opacity: float
) -> None:
    """Blend the tint into the image; a table of 256 brightnesses avoids float images."""
    level = (light[..., 0] * 255).astype(np.uint8)
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    bright = np.clip((ramp - 0.7) / 0.3, 0, 1)
    table = np.asarray(tint, np.float32) * ramp * (1 - bright) + bright * 255 * (0.5 + 0.5 * ramp)
    colors = cv2.LUT(cv2.merge([level] * 3), table.clip(0, 255).astype(np.uint8)[:, None, :])
    weight = light[..., 1] * np.float32(opacity)
    region[:] = cv2.blendLinear(colors, region, weight, 1 - weight)


def _draw_landmarks(canvas: ImageBGR, landmarks: FloatArray, scale: float) -> None:
    points = np.round(landmarks[:, :2] * (1 << SUBPIXEL_DIGITS)).astype(np.int32)
    bounded = np.clip(points, -(1 << 20), 1 << 20)
    for indices, closed in IBUG_GROUPS.values():
        line = bounded[list(indices)].reshape(-1, 1, 2)
        thickness = max(1, round(scale))
        cv2.polylines(
            canvas, [line], closed, (250, 250, 250), thickness, cv2.LINE_AA, SUBPIXEL_DIGITS
        )
    radius = round(min(1.5 * scale, max(0.6, face_size(landmarks) / 110)) * (1 << SUBPIXEL_DIGITS))
    for x, y in bounded.tolist():
        cv2.circle(canvas, (x, y), radius, (70, 230, 255), -1, cv2.LINE_AA, SUBPIXEL_DIGITS)


def _draw_axes(canvas: ImageBGR, face: DrawableFace, scale: float) -> None:
    if not np.isfinite(face.yaw_pitch_roll).all():
        return
    origin = face.landmarks68[SELLION_LANDMARK, :2]
    length = 0.45 * face_size(face.landmarks68)
    axes = head_axes(face.yaw_pitch_roll)
    for i in np.argsort(axes[:, 2]):  # the axis that points at the viewer is drawn last
        tip = origin + length * axes[i, :2]
        a, b = _fixed(origin), _fixed(tip)
        thick = max(2, round(2.2 * scale))
        cv2.line(canvas, a, b, (30, 30, 30), thick + 2, cv2.LINE_AA, SUBPIXEL_DIGITS)
        cv2.line(canvas, a, b, _AXES[i], thick, cv2.LINE_AA, SUBPIXEL_DIGITS)


def _fixed(point: NDArray[Any]) -> tuple[int, int]:
    scaled = np.clip(np.round(np.asarray(point) * (1 << SUBPIXEL_DIGITS)), -(1 << 20), 1 << 20)
    return int(scaled[0]), int(scaled[1])
