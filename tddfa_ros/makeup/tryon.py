"""Virtual try-on: draw an object fixed to the head, with occlusion by the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll, to_image
from tddfa_ros.makeup.light import skin_light
from tddfa_ros.makeup.objects import Part, TryOnObject
from tddfa_ros.makeup.places import find_place
from tddfa_ros.makeup.preset import check_range
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import far_to_near
from tddfa_ros.rendering.raster import Surface, visible_surface
from tddfa_ros.rendering.shading import lambert, vertex_normals
from tddfa_ros.rendering.window import box_in_image, scaled
from tddfa_ros.types import FloatArray, ImageBGR, IntArray, check_image

_FINEST, _LONGEST = 3.0, 800  # grid px per image px, and longest side of the grid
_AMBIENT, _SPECULAR = 0.5, 0.10
_SHADOW_SHIFT, _SHADOW_SOFT = (
    (-0.002, 0.006),
    0.0035,
)  # m in the image: left, down; and how blurred
_SHADOW_ABOVE = 0.02  # m that the window is larger than the object, for its shadow


@dataclass(frozen=True)
class Placement:
    """Placement of an object on the head.

    Attributes:
        anchor: place of the object's origin; see ``tddfa_ros.makeup.places``.
        offset: mm to the person's left, up, forward.
        scale: factor on the object's own size (glTF's unit is the meter).
        rotation: roll, pitch, yaw in degrees, relative to the head, with the sign convention of head angles.
        shadow: 0..1, darkness of the soft shadow on the skin.

    Raises:
        ConfigError: a value is out of range.
    """

    anchor: str = "nose_bridge"
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shadow: float = 0.3

    def __post_init__(self) -> None:
        for axis, value in zip("xyz", self.offset, strict=True):
            check_range(f"the offset {axis}, mm,", value, -1000.0, 1000.0)
        for name, value in zip(("roll", "pitch", "yaw"), self.rotation, strict=True):
            check_range(f"the {name}", value, -360.0, 360.0)
        check_range("the scale", self.scale, 1e-6, 1e6)
        check_range("the shadow", self.shadow, 0.0, 1.0)


class TryOn:
    """Draw an object on heads; construct once, call per image.

    Args:
        model: morphable model of the faces.
        item: the object.
        placement: its placement.

    Raises:
        ConfigError: the place is unknown. ModelError: the model does not include it.
    """

    def __init__(
        self, model: MorphableModel, item: TryOnObject, placement: Placement | None = None
    ) -> None:
        self.model = model
        self.placement = placement or Placement()
        self._anchor = find_place(model, self.placement.anchor)
        roll, pitch, yaw = self.placement.rotation
        turn = rotation_from_yaw_pitch_roll(np.array([yaw, pitch, roll])) * self.placement.scale
        shift = np.array(self.placement.offset) / 1000
        solid = [part for part in item.parts if not part.transparent]
        clear = [part for part in item.parts if part.transparent]
        self._parts = (*solid, *clear)
        placed = [part.vertices.astype(np.float64) @ turn.T + shift for part in self._parts]
        self._vertices = np.concatenate(placed).astype(np.float32)
        sizes = [len(part.vertices) for part in self._parts]
        starts = np.cumsum([0, *sizes[:-1]])
        triangles = [
            part.triangles + start for part, start in zip(self._parts, starts, strict=True)
        ]
        self._triangles: IntArray = np.concatenate(triangles).astype(np.int32)
        counts = [len(part.triangles) for part in self._parts]
        self._first_triangle = np.cumsum([0, *counts[:-1]])
        self._appearance = np.concatenate([_appearance_of(part) for part in self._parts])
        self._solid_count = sum(counts[: len(solid)])
        self._normals = vertex_normals(self._vertices, self._triangles)

    def points(self, face: Face) -> FloatArray:
        """Return the object's vertices on a face (N, 3), image px, opaque parts first; z as in ``face.vertices``."""
        return to_image(self._vertices + self._anchor.on(face.head), face.pose, face.roi)

    def apply(self, image: ImageBGR, faces: Face | Sequence[Face]) -> ImageBGR:
        """Return a copy of the image with the object on every face.

        Args:
            image: (H, W, 3) uint8 BGR.
            faces: faces of the image, of this model; smaller ones count as farther away.

        Raises:
            ImageError: the image is not (H, W, 3) uint8.
        """
        check_image(image, "the image for virtual try-on")
        out = image.copy()
        for face in far_to_near([faces] if isinstance(faces, Face) else faces):
            self._draw(out, face)
        return out

    def _draw(self, out: ImageBGR, face: Face) -> None:
        points = self.points(face)
        px_per_m = face.image_pose.scale
        window = _Window.around(points, _SHADOW_ABOVE * px_per_m, out.shape)
        if window is None or not np.isfinite(points).all():
            return
        head = np.asarray(face.vertices, dtype=np.float32)
        both = window.to_grid(np.concatenate([head, points]))
        count = len(self.model.triangles)
        moved = self._triangles + np.int32(len(head))
        solid = np.concatenate([self.model.triangles, moved[: self._solid_count]])
        surface = visible_surface(both, solid, window.grid)
        light = skin_light(out, self.model, head)
        shade = self._shade(face) * np.float32(light.exposure**2)
        layer = self._colors(surface, count, shade)
        on_head = ((surface.triangle >= 0) & (surface.triangle < count)).astype(np.float32)
        here = out[window.slices].astype(np.float32)
        if self.placement.shadow > 0:
            dark = self._shadow(layer[..., 3], on_head, px_per_m * window.scale)
            here *= (1 - window.shrink(dark))[..., None]
        _lay_over(here, window.shrink(layer))
        if self._solid_count < len(self._triangles):
            everything = np.concatenate([self.model.triangles, moved])
            front = visible_surface(both, everything, window.grid)
            clear = front.triangle >= count + self._solid_count
            _lay_over(here, window.shrink(self._colors(front, count, shade) * clear[..., None]))
        out[window.slices] = np.clip(np.rint(here), 0, 255).astype(np.uint8)

    def _shade(self, face: Face) -> FloatArray:
        """Return the brightness (N,) of each vertex, with two-sided lighting."""
        rotation = face.image_pose.rotation
        normals = (self._normals @ rotation.T).astype(np.float32)
        normals *= np.where(normals[:, 2:] < 0, np.float32(-1), np.float32(1))
        return lambert(normals, ambient=_AMBIENT, specular=_SPECULAR)

    def _colors(self, surface: Surface, first: int, shade: FloatArray) -> FloatArray:
        """Return premultiplied B, G, R (0..255) and opacity 0..1 of the visible object: (gh, gw, 4)."""
        values = np.zeros((len(surface.vertices), 7), np.float32)
        values[-len(self._appearance) :, :6] = self._appearance
        values[-len(self._appearance) :, 6] = shade
        drawn = surface.interpolate(values)
        own = surface.triangle >= first
        rgba = drawn[..., :4]
        for index, part in enumerate(self._parts):
            if part.texture is None:
                continue
            begin = first + self._first_triangle[index]
            mine = (surface.triangle >= begin) & (surface.triangle < begin + len(part.triangles))
            rgba[mine] *= _sample(part.texture, drawn[..., 4:6])[mine]
        opacity = rgba[..., 3] * own
        color = rgba[..., 2::-1] * (np.float32(255) * drawn[..., 6] * opacity)[..., None]
        return np.concatenate([color, opacity[..., None]], axis=2).astype(np.float32)

    def _shadow(self, cover: FloatArray, on_head: FloatArray, px_per_m: float) -> FloatArray:
        """Return the darkness (gh, gw) of the object's shadow on the head."""
        x, y = (px_per_m * shift for shift in _SHADOW_SHIFT)
        move = np.array([[1, 0, x], [0, 1, y]], np.float64)
        cast = cv2.warpAffine(cover, move, cover.shape[1::-1])
        soft = cv2.GaussianBlur(cast, (0, 0), max(_SHADOW_SOFT * px_per_m, 0.5))
        return np.asarray(self.placement.shadow * soft * on_head, dtype=np.float32)


@dataclass(frozen=True)
class _Window:
    """A window of the image, px, and the finer grid of the drawing."""

    x: int
    y: int
    width: int
    height: int
    scale: float

    @classmethod
    def around(cls, points: FloatArray, margin: float, shape: tuple[int, ...]) -> _Window | None:
        x, y, width, height = box_in_image(points, margin, margin + 1, shape)
        if width < 1 or height < 1:
            return None
        return cls(x, y, width, height, float(np.clip(_LONGEST // max(width, height), 1, _FINEST)))

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @property
    def grid(self) -> tuple[int, int]:
        return round(self.height * self.scale), round(self.width * self.scale)

    def to_grid(self, points: FloatArray) -> FloatArray:
        return scaled(points, (self.x, self.y), self.scale)

    def shrink(self, grid: FloatArray) -> FloatArray:
        size = (self.width, self.height)
        return np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _lay_over(image: FloatArray, layer: FloatArray) -> None:
    """Composite premultiplied colors over an image (h, w, 3), in place."""
    image *= 1 - layer[..., 3:]
    image += layer[..., :3]


def _sample(texture: FloatArray, uv: FloatArray) -> FloatArray:
    """Sample R, G, B, opacity (h, w, 4) 0..1 at UV coordinates (h, w, 2), v up, with repeat."""
    height, width = texture.shape[:2]
    x = uv[..., 0] % 1 * np.float32(width) - np.float32(0.5)
    y = (1 - uv[..., 1]) % 1 * np.float32(height) - np.float32(0.5)
    drawn = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(drawn, dtype=np.float32)


def _appearance_of(part: Part) -> FloatArray:
    """Return R, G, B, opacity, u, v (N, 6) at the vertices of a part."""
    uv = np.zeros((len(part.vertices), 2), np.float32) if part.uv is None else part.uv
    return np.concatenate([part.colors, uv], axis=1).astype(np.float32)
