"""Apply makeup presets to faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.face import Face
from tddfa_ros.makeup.blend import Reflection, add_gloss, mean_color, paint, separate
from tddfa_ros.makeup.color import from_linear, lab_of, to_linear
from tddfa_ros.makeup.light import SkinLight, skin_light
from tddfa_ros.makeup.matte import brow_matte, lip_matte
from tddfa_ros.makeup.occlusion import Occlusion, find_occlusion
from tddfa_ros.makeup.preset import MakeupPreset, Pigment
from tddfa_ros.makeup.regions import face_fields
from tddfa_ros.makeup.stickers import PlacedSticker, place_sticker
from tddfa_ros.makeup.view import FaceView, view_face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.protocols import far_to_near
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.rendering.skin_color import smoothstep, to_lab
from tddfa_ros.types import FloatArray, ImageBGR, check_image

_LIPS, _MOUTH, _BROWS, _LID, _LID_SHARE, _LID_SIDES, _CHEEKS, _SKIN = range(8)
_FIRST_STICKER = 8
_SEEN_PAINT = 1 / 255  # smaller weights change no pixel
_SMOOTH = 0.4  # mm, smoothing of highlights
_OWN_COLOR = ("lipstick", "brow_tint")  # parts on a surface that differs from skin
_LIP_MARGIN, _BROW_MARGIN = 9.0, 6.0  # mm around lips and brows used by matting
_UNDER_BROW = (
    0.40,
    0.60,
)  # of the way from the lid to the brow: where lashes end and brows may begin
_OVER_BROW = (1.0, 1.3)  # of the same way: where hair that falls over the forehead may begin
_INNER_LIP = (-0.8, 0.2)  # mm, the soft edge at the mouth's opening


class Makeup:
    """Apply a makeup preset to faces; construct once, call per image.

    Args:
        model: morphable model of the faces.
        preset: the makeup to apply.

    Raises:
        ConfigError: the place of a sticker is unknown. ImageError: its image cannot be read. ModelError: the model lacks regions or UV coordinates.
    """

    def __init__(self, model: MorphableModel, preset: MakeupPreset) -> None:
        self.model = model
        self.preset = preset
        fields = face_fields(model)
        self._stickers = [place_sticker(model, sticker) for sticker in preset.stickers]
        columns = [fields.stacked, fields.paintable[:, None].astype(np.float32)]
        columns += [sticker.coordinates for sticker in self._stickers]
        self._fields = np.ascontiguousarray(np.concatenate(columns, axis=1), dtype=np.float32)
        self._wanted = self._used(fields.paintable)
        self._near = model.triangles[self._wanted[model.triangles].any(axis=1)]

    def apply(self, image: ImageBGR, faces: Face | Sequence[Face]) -> ImageBGR:
        """Return a copy of the image with the preset applied to the faces; all other pixels are unchanged.

        Args:
            image: (H, W, 3) uint8 BGR.
            faces: faces of the image, of this model.

        Raises:
            ImageError: the image is not (H, W, 3) uint8.
        """
        check_image(image, "the image for virtual makeup")
        out = image.copy()
        for face in far_to_near([faces] if isinstance(faces, Face) else faces):
            self._paint(out, face)
        return out

    def coverage(self, face: Face, shape: Sequence[int]) -> dict[str, FloatArray]:
        """Render the coverage of each part from the mesh alone, (H, W) 0..1 each, without matting.

        Args:
            face: a face of this model.
            shape: shape of the image, (height, width) or more.

        Returns:
            ``lipstick``, ``blush``, ``eye_shadow``, ``brow_tint``.
        """
        size = (int(shape[0]), int(shape[1]))
        out = {part: np.zeros(size, np.float32) for part in _PARTS}
        view = self._look_at(face, self._normals(face.vertices), size)
        if view is not None:
            for part, grid in self._on_grid(view).items():
                out[part][view.slices] = view.to_pixels(grid)
        return out

    def _paint(self, out: ImageBGR, face: Face) -> None:
        normals = self._normals(face.vertices)
        view = self._look_at(face, normals, out.shape)
        if view is None:
            return
        light = skin_light(out, self.model, face.vertices)
        before = out[view.slices]
        lips = view.fields[..., _LIPS]
        occlusion = find_occlusion(before, light.chroma, lips, view.seen, view.px_per_mm)
        canvas = _Canvas(to_linear(before), light, occlusion, view.px_per_mm)
        for part, grid in self._on_grid(view).items():
            pigment: Pigment = getattr(self.preset, part)
            weight = pigment.opacity * self._decided(part, before, view, view.to_pixels(grid))
            weight = canvas.lay(weight, lab_of(pigment.bgr), part)
            if part == "lipstick" and self.preset.lipstick.gloss > 0:
                add_gloss(canvas.linear, weight, self.preset.lipstick.gloss, 2.0 * view.px_per_mm)
        for i, sticker in enumerate(self._stickers):
            first = _FIRST_STICKER + 2 * i
            _stick(canvas, view, sticker, view.fields[..., first : first + 2])
        if canvas.painted.any():
            before[canvas.painted] = from_linear(canvas.linear[canvas.painted])

    def _normals(self, vertices: FloatArray) -> FloatArray:
        """Return normals (N, 3) of paintable vertices, 0 elsewhere."""
        return image_normals(vertices, self._near)

    def _look_at(self, face: Face, normals: FloatArray, shape: tuple[int, ...]) -> FaceView | None:
        return view_face(
            face.vertices,
            normals,
            self.model.triangles,
            self._fields,
            self._wanted,
            shape,
            face.image_pose.scale / 1000,
        )

    def _on_grid(self, view: FaceView) -> dict[str, FloatArray]:
        """Return the coverage (gh, gw) 0..1 of each part of the preset, from the mesh alone."""
        return {
            part: cover(view.fields, getattr(self.preset, part).softness) * view.seen
            for part, cover in _PARTS.items()
            if getattr(self.preset, part).opacity > 0
        }

    def _decided(
        self, part: str, window: ImageBGR, view: FaceView, prior: FloatArray
    ) -> FloatArray:
        """Return the coverage (h, w) after matting, from the window (h, w, 3) of the image."""
        if part == "lipstick":
            distances = np.clip(view.fields[..., [_LIPS, _MOUTH]], -10, 10)
            distances[view.seen == 0] = -10
            lips, mouth = np.moveaxis(view.to_pixels(distances), 2, 0)
            here = _bounds(lips > -_LIP_MARGIN)
            seen = view.to_pixels(view.seen)[here]
            prior[here] = lip_matte(
                to_lab(window[here]), lips[here], mouth[here], prior[here], seen
            )
        if part == "brow_tint":
            here = _bounds(prior > 0)
            brows = view.to_pixels(view.fields[..., _BROWS])[here]
            fill = self.preset.brow_tint.fill
            prior[here] = brow_matte(to_lab(window[here]), brows, prior[here], fill, view.px_per_mm)
        return prior

    def _used(self, paintable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask (N,) of vertices that the preset may change, with the margin that matting needs."""
        f, preset = self._fields, self.preset
        used = np.zeros(len(f), dtype=bool)
        if preset.lipstick.opacity > 0:
            used |= f[:, _LIPS] > -_LIP_MARGIN
        if preset.blush.opacity > 0:
            used |= f[:, _CHEEKS] < 1
        if preset.eye_shadow.opacity > 0:
            used |= (f[:, _LID_SIDES] > 0) & (f[:, _LID] > -1) & (f[:, _LID_SHARE] < 1)
        if preset.brow_tint.opacity > 0:
            used |= f[:, _BROWS] > -1.5 * _BROW_MARGIN
        for sticker in self._stickers:
            used |= (np.abs(sticker.coordinates - 0.5) < 0.6).all(axis=1)
        return used & paintable


class _Canvas:
    """Linear light (h, w, 3) of a window, to be painted on; ``painted`` (h, w) marks what has changed."""

    def __init__(
        self,
        linear: FloatArray,
        light: SkinLight,
        occlusion: Occlusion | None,
        px_per_mm: float,
    ) -> None:
        self.original = linear
        self.linear = linear.copy()
        self.painted: NDArray[np.bool_] = np.zeros(linear.shape[:2], dtype=bool)
        self._light = light
        self._occlusion = occlusion
        self._sigma = _SMOOTH * px_per_mm

    def lay(self, weight: FloatArray, pigment: FloatArray, part: str) -> FloatArray:
        """Paint where the weight (h, w) is not 0 and nothing occludes; return the weight without the occluded pixels.

        The pigment is CIELAB (3,) or (h, w, 3).
        """
        if self._occlusion is not None:
            weight = weight * self._occlusion.of(part)
        here = _bounds(weight > _SEEN_PAINT)
        if not weight[here].size:
            return weight
        color = self._light.on_skin(pigment if pigment.ndim == 1 else pigment[here])
        reflection = self._reflection(self.original[here], weight[here], part)
        paint(self.linear[here], weight[here], color, reflection)
        self.painted |= weight > _SEEN_PAINT
        return weight

    def _reflection(self, linear: FloatArray, weight: FloatArray, part: str) -> Reflection:
        """Lips and brows have colors of their own: their mean counts as lit like the skin."""
        light = self._light
        own = part in _OWN_COLOR
        surface = mean_color(linear, weight, light.skin) if own else light.skin
        return separate(linear, surface, light.source, self._sigma)


def _stick(
    canvas: _Canvas, view: FaceView, sticker: PlacedSticker, coordinates: FloatArray
) -> None:
    """Paint a sticker."""
    skin = view.seen * (view.fields[..., _SKIN] > 0.99)
    near = np.abs(coordinates - 0.5) < 0.6
    here = _bounds(near[..., 0] & near[..., 1] & (skin > 0))
    layer = np.zeros((*skin.shape, 4), np.float32)
    if skin[here].size:
        color, alpha = sticker.sample(coordinates[here])
        alpha = alpha * skin[here]
        layer[here] = np.concatenate([color * alpha[..., None], alpha[..., None]], axis=2)
    drawn = view.to_pixels(layer)
    weight = drawn[..., 3]
    there = _bounds(weight > _SEEN_PAINT)
    if weight[there].size:
        colors = np.zeros((*weight.shape, 3), np.float32)
        colors[there] = to_lab(drawn[there][..., :3] / np.maximum(weight[there], 1e-3)[..., None])
        canvas.lay(weight, colors, "sticker")


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return row and column slices of the bounding box of a mask (h, w)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _lipstick(fields: FloatArray, softness: float) -> FloatArray:
    half = 0.25 + 1.75 * softness
    outer = smoothstep(fields[..., _LIPS], -half, half)
    return outer * smoothstep(fields[..., _MOUTH], *_INNER_LIP)


def _blush(fields: FloatArray, softness: float) -> FloatArray:
    return _on_skin(fields) * (1 - smoothstep(fields[..., _CHEEKS], 0.85 * (1 - softness), 1.0))


def _eye_shadow(fields: FloatArray, softness: float) -> FloatArray:
    height, share = fields[..., _LID], fields[..., _LID_SHARE]
    fade = 1 - smoothstep(share, 0.55 - 0.4 * softness, 0.62 + 0.3 * softness)
    return _on_skin(fields) * smoothstep(height, -0.6, 0.8) * fade * fields[..., _LID_SIDES]


def _brow_tint(fields: FloatArray, softness: float) -> FloatArray:
    """Return the zone searched for hairs of brows: wider than the brows, without the lashes."""
    share = fields[..., _LID_SHARE]
    below = np.where(share < 0, 1.0, smoothstep(share, *_UNDER_BROW))
    below *= 1 - smoothstep(share, *_OVER_BROW)
    edge = smoothstep(fields[..., _BROWS], -_BROW_MARGIN, -_BROW_MARGIN + 1 + 4 * softness)
    return np.asarray(_on_skin(fields) * below * edge, dtype=np.float32)


def _on_skin(fields: FloatArray) -> FloatArray:
    return np.asarray(fields[..., _SKIN] > 0.99, dtype=np.float32)


_PARTS = {
    "blush": _blush,
    "eye_shadow": _eye_shadow,
    "brow_tint": _brow_tint,
    "lipstick": _lipstick,
}
"""Parts of a preset in the order of application."""
