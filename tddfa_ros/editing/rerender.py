"""Re-render a face of an image with other parameters by warping its pixels with the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import cv2
import numpy as np

from tddfa_ros.editing.eyes import eye_colors
from tddfa_ros.editing.field import Window, displacement, seen_vertices
from tddfa_ros.editing.layers import Inside, Light, OpeningState, compose, relit, shifted, to_bytes
from tddfa_ros.editing.lids import close_lids, eye_contour, lid_margins
from tddfa_ros.editing.mouth import affine_to_image, evened_lips, mouth_colors, unlike_lips
from tddfa_ros.editing.openings import (
    Opening,
    Patch,
    fading,
    grown,
    only,
    openings_of,
    ramp,
    without,
)
from tddfa_ros.errors import ImageError, ModelError
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray, ImageBGR, IntArray, check_image

# Heights of openings in units of the face size.
_SMALL_CHANGE = (0.002, 0.007)  # of the mouth: warped below, taken apart into layers above
_OPEN_MOUTH = (0.006, 0.02)  # in the source image: its own teeth are used
_CLOSED_EYE = (0.002, 0.004)  # in the source image: there is no eyeball to show
_ROUNDING = 0.008
_MOUTH_EDGE, _EYE_EDGE = 0.03, 0.036  # margin around an opening with its colors
_SLIT_SHADE = 0.6  # how much darker the inside is that shows between lips that nearly meet
_TEETH_REACH = 0.008  # extrapolation of visible teeth beyond the opening
_LIDS = ("eyeBlink", "eyeSquint", "eyeLookDown")
_LIP_LINE = 0.012  # of the face size: thickness of the line where lips meet
_LIP_DARKNESS = 0.5
_SHADOW = np.array([18, 24, 52], np.float32)  # BGR, between lips
_HIGHLIGHT, _MIDDLE_GRAY = 0.97, 128.0
_BLINKS = {"left_eye": "eyeBlinkLeft", "right_eye": "eyeBlinkRight"}
_BROWS = {"left_eye": slice(22, 27), "right_eye": slice(17, 22)}
_INNER_UPPER_LIP = slice(60, 65)  # of the 68 landmarks, corner to corner


class Rerenderer:
    """Re-render one face of one image with other parameters, any number of times.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in the image.

    Raises:
        ImageError: the image is invalid, or the face is outside it.
    """

    def __init__(self, image: ImageBGR, face: Face) -> None:
        check_image(image)
        self._image = image
        self._face = face
        self._before = np.asarray(face.vertices, dtype=np.float32)
        self._size = face.face_size
        self._window = Window.around(self._before, self._size, image.shape)
        if min(self._window.width, self._window.height) < 4:
            raise ImageError("the face is outside the image, so it cannot be re-rendered")
        self._openings = openings_of(face.model)
        self._seen = seen_vertices(self._before, face.model.triangles, self._window, self._size)

    def __call__(self, params: FloatArray) -> ImageBGR:
        """Return a copy of the image with the face re-rendered with ``params`` (P,), in the frame of ``face.roi``.

        Unchanged parameters give the unchanged image.

        Raises:
            ModelError: ``params`` have the wrong size for the model, or are not finite.
        """
        params = _checked(params, self._model)
        params, closed = self._without_blinks(params)
        after = self._pixels(params)
        out = self._opened(params, after)
        self._close(out, after, closed)
        return out

    def _opened(self, params: FloatArray, after: FloatArray) -> ImageBGR:
        if np.abs(after - self._before).max() < 1e-3:
            return self._image.copy()
        insides = [found for o in self._openings if (found := self._inside(o, params, after))]
        inside_mouth, holes = np.zeros((2, len(after)), dtype=np.bool_)
        for opening in self._openings:
            if opening.name == "mouth":
                inside_mouth |= opening.inside
                holes |= opening.inside | opening.around  # thin lips are compressed, not torn
        field = displacement(
            self._before, after, self._seen & ~inside_mouth, self._model.triangles, self._window,
            self._size, holes,
        )  # fmt: skip
        skin = self._image
        if insides:
            skin = skin.copy()
        for inside in insides:
            here = inside.patch.slices
            filled = without(self._image[here], inside.weight * inside.zone, inside.lips)
            if inside.lips is not None:
                filled = evened_lips(filled, inside.lips, 0.7 * inside.weight * inside.closing)
            skin[here] = to_bytes(filled)
        moved = self._moved(skin, field)
        out = self._image.copy()
        out[self._window.slices] = moved
        for inside in insides:
            compose(out, inside, relit(_SHADOW, self._light))
        return out

    @property
    def _model(self) -> MorphableModel:
        return self._face.model

    @cached_property
    def _light(self) -> Light:
        rows, columns = self._image.shape[:2]
        named = [i for i, n in enumerate(self._model.region_names) if n in ("skin", "nose")]
        chosen = self._seen & (np.isin(self._model.regions, named) if named else True)
        points = np.rint(self._before[chosen, :2]).astype(int)
        if len(points) == 0:
            return Light(np.full(3, 128, np.float32), _MIDDLE_GRAY)
        x, y = np.clip(points[:, 0], 0, columns - 1), np.clip(points[:, 1], 0, rows - 1)
        colors = self._image[y, x].astype(np.float32)
        return Light(np.median(colors, axis=0), float(np.quantile(colors.max(axis=1), _HIGHLIGHT)))

    def _without_blinks(self, params: FloatArray) -> tuple[FloatArray, dict[str, float]]:
        """Return the parameters with the lids of the source image where they close, and the share 0..1 to which each eye closes.

        Lids that close are not warped with the mesh, which would squeeze the iris: they slide over it, :mod:`.lids`.
        """
        out, closed = params.copy(), {}
        start, names = self._model.layout.expression_slice.start, self._model.expression_names
        for opening in self._openings:
            name = _BLINKS.get(opening.name)
            if name not in names:
                continue
            index = start + names.index(name)
            source = float(np.clip(self._face.params[index], 0, 0.99))
            share = (float(params[index]) - source) / (1 - source)
            if share > 1e-3:
                out[index] = self._face.params[index]
                closed[opening.name] = min(share, 1.0)
        return out, closed

    def _close(self, image: ImageBGR, vertices: FloatArray, closed: Mapping[str, float]) -> None:
        landmarks = self._model.landmarks_of(vertices)
        for opening in self._openings:
            share = closed.get(opening.name, 0.0)
            if share > 0 and (opening.inside & self._seen).any():
                contour = eye_contour(
                    vertices, self._lids[opening.name], landmarks[_BROWS[opening.name]], self._size
                )
                if contour is not None:
                    close_lids(image, contour, share)

    @cached_property
    def _lids(self) -> dict[str, tuple[IntArray, IntArray]]:
        eyes = (o for o in self._openings if o.name != "mouth")
        return {opening.name: lid_margins(self._model, opening) for opening in eyes}

    def _pixels(self, params: FloatArray) -> FloatArray:
        pose = self._model.layout.split(params)[0]
        return to_image(self._model.head(params), pose, self._face.roi)

    def _moved(self, skin: ImageBGR, field: FloatArray) -> ImageBGR:
        window = self._window
        x, y = np.meshgrid(
            np.arange(window.x, window.x + window.width, dtype=np.float32),
            np.arange(window.y, window.y + window.height, dtype=np.float32),
        )
        moved = cv2.remap(
            skin, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(moved, dtype=np.uint8)

    def _inside(self, opening: Opening, params: FloatArray, after: FloatArray) -> Inside | None:
        """Return the inside of an opening; None where warping alone suffices, as the opening hardly changes."""
        around, triangles = opening.around, self._model.triangles
        both = np.concatenate([self._before[around], after[around]])
        patch = Patch.around(both, 0.06 * self._size, self._image.shape)
        if patch is None:
            return None
        same = params.copy()
        expression = self._model.layout.expression_slice
        same[expression] = self._face.params[expression]
        old, new, unchanged = (
            patch.covered(vertices, triangles, opening.inside, _ROUNDING * self._size)
            for vertices in (self._before, after, self._pixels(same))
        )
        width = max(float(np.ptp(self._before[around, 0])), 1.0) * self._size
        heights = (float(shown.sum()) / width for shown in (old, new, unchanged))
        state = OpeningState(patch, old, new, *heights)
        if opening.name == "mouth":
            return self._mouth(opening, params, after, state)
        return self._eye(opening, after, state)

    def _mouth(
        self,
        opening: Opening,
        params: FloatArray,
        after: FloatArray,
        state: OpeningState,
    ) -> Inside | None:
        weight = ramp(abs(state.after - state.unchanged), *_SMALL_CHANGE)
        if weight == 0:
            return None
        model, pose = self._model, self._model.layout.split(params)[0]
        rest = _at_rest(params, model)
        own = ramp(state.before, *_OPEN_MOUTH)
        image = mouth_colors(
            model, opening, model.head(rest), model.head(params),
            params[model.layout.expression_slice], after,
            affine_to_image(pose, self._face.roi), state.patch, state.new, self._light, own,
        )  # fmt: skip
        if own > 0:  # visible teeth follow the skull
            shown = only(self._image[state.patch.slices], state.old)
            trust = own * fading(state.old, _TEETH_REACH * self._size)
            trust = np.asarray(cv2.GaussianBlur(trust, (0, 0), 0.7), np.float32)
            shift = self._pixels(rest) - self._pixels(_at_rest(self._face.params, model))
            shown, trust = shifted((shown, trust), shift[opening.around, :2].mean(axis=0))
            image = image * (1 - trust[..., None]) + shown * trust[..., None]
        image = image * (1 - _SLIT_SHADE * (1 - ramp(state.after, *_OPEN_MOUTH)))
        zone, mouth = state.old, None
        if state.before > 0:
            lips = state.patch.covered(self._before, model.triangles, opening.around)
            wide = grown(state.old, _MOUTH_EDGE * self._size)
            zone = np.maximum(zone, unlike_lips(self._image[state.patch.slices], lips, wide))
            mouth = np.asarray(np.clip(lips + state.old, 0, 1), dtype=np.float32)
        line = None
        darkness = weight * _LIP_DARKNESS * own * (1 - ramp(state.after, *_SMALL_CHANGE))
        if darkness > 0:
            lip = model.landmarks_of(after)[_INNER_UPPER_LIP]
            line = darkness * state.patch.line(lip, _LIP_LINE * self._size)
        closing = own * ramp(state.before - state.after, *_SMALL_CHANGE)
        return Inside(state.patch, weight, zone, image, state.new, line, mouth, closing)

    def _eye(
        self,
        opening: Opening,
        after: FloatArray,
        state: OpeningState,
    ) -> Inside | None:
        """Return the eyeball of an eye that is closed in the source image and opens."""
        shut = 1 - ramp(state.before, *_CLOSED_EYE)
        weight = shut * ramp(state.after - state.unchanged, *_CLOSED_EYE)
        if weight == 0:
            return None
        wide = state.patch.covered(self._eyes_open, self._model.triangles, opening.inside)
        zone = grown(np.maximum(state.old, wide), _EYE_EDGE * self._size)
        image = eye_colors(self._model, opening, after, state.patch, state.new, self._light)
        return Inside(state.patch, weight, zone, image, state.new)

    @cached_property
    def _eyes_open(self) -> FloatArray:
        """Vertices (N, 3), px, of the face with open eyes: fitted lids may be lower than those in the image."""
        params = self._face.params.copy()
        start = self._model.layout.expression_slice.start
        for index, name in enumerate(self._model.expression_names):
            if name.startswith(_LIDS):
                params[start + index] = 0
        return self._pixels(params)


def rerender(image: ImageBGR, face: Face, params: FloatArray) -> ImageBGR:
    """Re-render one face of an image with other parameters; see :class:`Rerenderer`.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in the image.
        params: (P,) float32, in the frame of ``face.roi``.
    """
    return Rerenderer(image, face)(params)


def _checked(params: FloatArray, model: MorphableModel) -> FloatArray:
    params = np.asarray(params, dtype=np.float32)
    if params.shape != (model.layout.size,):
        raise ModelError(
            f"{model.name} takes {model.layout.size} parameters, got an array of shape {params.shape}"
        )
    if not np.isfinite(params).all():
        raise ModelError("parameters must be finite")
    return params


def _at_rest(params: FloatArray, model: MorphableModel) -> FloatArray:
    out = params.copy()
    out[model.layout.expression_slice] = 0
    return out
