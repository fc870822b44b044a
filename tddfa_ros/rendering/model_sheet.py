"""Draw an overview of a morphable model: mean, first identity components, all expressions."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np

from tddfa_ros.rendering.irises import EYES, eyeball_colors
from tddfa_ros.rendering.protocols import SurfaceModel, in_regions
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.shading import evened, lambert, vertex_normals
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

_SUPERSAMPLING = 2
_BACKGROUND = (250, 248, 246)
_INK = (60, 50, 45)
_SKIN = (0.74, 0.80, 0.90)  # BGR, light clay: shape reads better on it than on a skin color
_REGION_COLORS = (  # the first entry whose word is part of a region's name gives its color
    ("inner", (0.32, 0.30, 0.50)),
    ("teeth", (0.92, 0.95, 0.97)),
    ("tongue", (0.45, 0.45, 0.78)),
    ("lip", (0.58, 0.58, 0.84)),
    ("brow", (0.52, 0.60, 0.70)),
    ("eyeball", (0.97, 0.97, 0.97)),
    ("eyelid", _SKIN),
    ("eye", (0.97, 0.97, 0.97)),
)
_MOVED = np.array(
    (0.25, 0.50, 0.98), dtype=np.float32
)  # BGR, where an expression moves the surface

_COLUMNS = 9
_COMPONENTS = 5
_CELL = 176
_VIEW = 340
_SIGMA_CELL = 170
_CAPTION = 22


class SheetModel(SurfaceModel, Protocol):
    """The part of a ``MorphableModel`` that is drawn."""

    @property
    def shape_basis(self) -> FloatArray: ...

    @property
    def expression_basis(self) -> FloatArray: ...

    @property
    def expression_names(self) -> tuple[str, ...]: ...


def model_sheet(model: SheetModel) -> ImageBGR:
    """Draw the overview of a model, (H, W, 3) uint8 BGR.

    Top: the mean from three sides, and the first five identity components at -2 and +2 standard deviations.
    Bottom: every expression at 1.0 on the mean head, with the moved surface in orange.
    """
    colors = region_colors(model)
    header = np.hstack([_mean_views(model, colors), _component_grid(model, colors)])
    expressions = _expression_grid(model, colors)
    width = max(header.shape[1], expressions.shape[1]) + 40
    counts = f"{len(model.mean):,} vertices, {len(model.triangles):,} triangles"
    coefficients = (
        f"{model.shape_basis.shape[2]} identity + {model.expression_basis.shape[2]} expression"
    )
    title = _strip(f"{model.name}: {counts}, {coefficients} coefficients", width, 52, 0.8)
    caption = _strip("Expressions at 1.0; orange marks what moves", width, 44, 0.6)
    blocks = [title, _centered(header, width), caption, _centered(expressions, width)]
    return np.vstack([*blocks, _strip("", width, 16, 0.5)])


def region_colors(model: SheetModel) -> FloatArray:
    """Return a BGR color per vertex by region, with soft borders, and eyes with irises, (N, 3) float32 0..1."""
    table = np.tile(np.asarray(_SKIN, dtype=np.float32), (max(len(model.region_names), 1), 1))
    for index, name in enumerate(model.region_names):
        for word, color in _REGION_COLORS:
            if word in name.lower():
                table[index] = color
                break
    colors = evened(table[model.regions], model.triangles)
    for name in EYES:
        inside = in_regions(model, (name,))
        if inside.any():
            eyeball = model.mean[inside]
            colors[inside] = eyeball_colors(eyeball, eyeball) / 255
    return colors


def render_head(
    vertices: FloatArray,
    triangles: IntArray,
    colors: FloatArray,
    size: tuple[int, int],
    *,
    meters: float,
    center: FloatArray,
    yaw_deg: float = 0.0,
) -> ImageBGR:
    """Render a smoothly shaded head in the model frame (meters, x to its left, y up, z out of the face).

    Args:
        vertices: (N, 3).
        triangles: (T, 3).
        colors: (N, 3) BGR 0..1.
        size: (height, width) of the image, px.
        meters: height of the field of view.
        center: (3,) point in the middle of the image.
        yaw_deg: rotation to the head's own left, degrees.
    """
    yaw = math.radians(yaw_deg)
    turn = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]],
        dtype=np.float32,
    )
    turned = ((vertices - center) @ turn.T).astype(np.float32)
    shade = lambert(vertex_normals(turned, triangles), ambient=0.30, specular=0.10)
    height, width = size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING
    pixels = turned * np.array([1, -1, 1], np.float32) * np.float32(height / meters)
    pixels += np.array([(width - 1) / 2, (height - 1) / 2, 0], np.float32)
    lit = np.clip(colors * (0.15 + 0.95 * shade[:, None]), 0, 1).astype(np.float32)
    raster = rasterize(pixels, triangles, lit, (height, width))
    background = np.asarray(_BACKGROUND, dtype=np.float32) / 255
    image = np.where(raster.mask[..., None], raster.values, background)
    small = cv2.resize(image.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)


def _framing(model: SheetModel) -> tuple[float, FloatArray]:
    """Return the height of the field of view in meters and its center, equal for all cells."""
    low, high = model.mean.min(0), model.mean.max(0)
    span = float(max(high[1] - low[1], 1.0 * (high[0] - low[0]), 0.9 * (high[2] - low[2])))
    return span * 1.12, ((low + high) / 2).astype(np.float32)


def _face_framing(model: SheetModel) -> tuple[float, FloatArray]:
    """Return the same for the part of the head that expressions move."""
    strength = np.linalg.norm(model.expression_basis, axis=1).max(axis=1, initial=0.0)
    moved = model.mean[strength > 0.1 * max(float(strength.max()), 1e-9)]
    if len(moved) == 0:
        return _framing(model)
    low, high = moved.min(0), moved.max(0)
    center = np.array([0, 0.5 * (low[1] + high[1]), 0.5 * (low[2] + high[2])], np.float32)
    return 1.12 * float(max(high[1] - low[1], 1.05 * (high[0] - low[0]))), center


def _mean_views(model: SheetModel, colors: FloatArray) -> ImageBGR:
    meters, center = _framing(model)
    cells = []
    for yaw, name in ((0.0, "mean"), (40.0, "40 degrees"), (90.0, "90 degrees")):
        cell = render_head(
            model.mean,
            model.triangles,
            colors,
            (_VIEW, round(0.86 * _VIEW)),
            meters=meters,
            center=center,
            yaw_deg=yaw,
        )
        cells.append(_captioned(cell, name))
    return np.hstack(cells)


def _component_grid(model: SheetModel, colors: FloatArray) -> ImageBGR:
    _, center = _framing(model)
    shown = model.shape_basis[:, 1, :_COMPONENTS]
    tallest = max(
        float(np.ptp(model.mean[:, 1:2] + sigma * shown, axis=0).max(initial=0.0))
        for sigma in (-2.0, 2.0)
    )
    meters = 1.06 * max(tallest, float(np.ptp(model.mean[:, 1])))
    rows = []
    for sigma in (2.0, -2.0):
        cells = []
        for i in range(min(_COMPONENTS, model.shape_basis.shape[2])):
            vertices = model.mean + sigma * model.shape_basis[:, :, i]
            size = (_SIGMA_CELL - _CAPTION // 2, round(0.84 * _SIGMA_CELL))
            cell = render_head(
                vertices, model.triangles, colors, size, meters=meters, center=center
            )
            cells.append(_captioned(cell, f"identity {i + 1}: {sigma:+.0f} sd"))
        rows.append(np.hstack(cells))
    grid = np.vstack(rows)
    missing = _VIEW + _CAPTION - grid.shape[0]
    if missing > 0:
        grid = np.vstack([grid, np.full((missing, grid.shape[1], 3), _BACKGROUND, np.uint8)])
    return np.asarray(grid[: _VIEW + _CAPTION], dtype=np.uint8)


def _expression_grid(model: SheetModel, colors: FloatArray) -> ImageBGR:
    meters, center = _face_framing(model)
    cells = []
    for i, name in enumerate(model.expression_names):
        moved = model.expression_basis[:, :, i]
        distance = np.linalg.norm(moved, axis=1)
        weight = np.clip(distance / max(float(distance.max()), 1e-9) * 1.4, 0, 0.75)[:, None]
        tinted = (colors * (1 - weight) + _MOVED * weight).astype(np.float32)
        cell = render_head(
            model.mean + moved,
            model.triangles,
            tinted,
            (_CELL, _CELL),
            meters=meters,
            center=center,
            yaw_deg=15.0,
        )
        cells.append(_captioned(cell, name))
    while len(cells) % _COLUMNS:
        cells.append(np.full((_CELL + _CAPTION, _CELL, 3), _BACKGROUND, dtype=np.uint8))
    rows = [np.hstack(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
    return np.vstack(rows) if rows else np.full((1, 1, 3), _BACKGROUND, dtype=np.uint8)


def _captioned(cell: ImageBGR, text: str) -> ImageBGR:
    strip = np.full((_CAPTION, cell.shape[1], 3), _BACKGROUND, dtype=np.uint8)
    scale = 0.42
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
    origin = (max((cell.shape[1] - width) // 2, 2), _CAPTION - 8)
    cv2.putText(strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    return np.vstack([cell, strip])


def _strip(text: str, width: int, height: int, scale: float) -> ImageBGR:
    strip = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    origin = (24, round(height * 0.68))
    cv2.putText(strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    return strip


def _centered(block: ImageBGR, width: int) -> ImageBGR:
    left = (width - block.shape[1]) // 2
    canvas = np.full((block.shape[0], width, 3), _BACKGROUND, dtype=np.uint8)
    canvas[:, left : left + block.shape[1]] = block
    return canvas
