"""Trust in the colors of texels: background beside the face and objects in front of it do not belong to its texture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tddfa_ros.rendering.protocols import SurfaceModel, in_regions
from tddfa_ros.rendering.skin_color import skin_chroma, skin_likeness, smoothstep, to_lab
from tddfa_ros.rendering.uv_surface import UvSurface, uv_surface
from tddfa_ros.rendering.visibility import DepthBuffer
from tddfa_ros.types import FloatArray

_SKIN, _LIPS = ("skin", "nose"), ("upper_lip", "lower_lip")
_BROWS, _EYES = ("left_brow", "right_brow"), ("left_eye", "right_eye")
_ABOVE_BROWS, _BEHIND_EYES = 0.02, 0.02  # m, where the face ends and hair may begin
_BESIDE = (0.024, 0.060)  # of the mesh's extent: distances from a contour; all and no background
_MIXED = (0.3, 0.7)  # saturation relative to the skin, where half of a texel is a white background
_SAMPLES = 4000


class TexelMatte:
    """Weights of the texels of one face.

    Args:
        model: morphable model of the face.
        surface: surface point of each texel.
        buffer: z-buffer of the face.
        color: (s, s, 3) float32 BGR of the texels.
        seen: (s, s) 0..1, their visibility.
    """

    def __init__(
        self,
        model: SurfaceModel,
        surface: UvSurface,
        buffer: DepthBuffer,
        color: FloatArray,
        seen: FloatArray,
    ) -> None:
        self._surface, self._buffer = surface, buffer
        self._skin, self._lips = _zones(model, len(seen))
        clear = seen[surface.mask] > 0.9
        samples = color[surface.mask][clear & (self._skin[surface.mask] > 0.9)]
        samples = samples[:: max(len(samples) // _SAMPLES, 1)]
        self._chroma = skin_chroma(to_lab(samples[None])[0]) if len(samples) else None

    def __call__(self, color: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return two weights (s, s) 0..1 of colors (s, s, 3) BGR taken at points (k, 3), image px, of the k covered texels.

        The first is 0 next to occluding contours. The second is lower, near contours, the less a color looks like the face. What covers the face elsewhere is
        recognized by a hue opposite to that of the skin only, because beards and hair belong to the texture.
        """
        mask = self._surface.mask
        clear = np.zeros(mask.shape, np.float32)
        clear[mask] = self._buffer.clear_of_contours(points)
        like = skin_likeness(to_lab(color), self._chroma)
        if like is None:
            return clear, np.ones_like(clear)
        beside = np.zeros(mask.shape, np.float32)
        beside[mask] = 1 - smoothstep(self._buffer.contour_distance(points), *_BESIDE)
        face = np.clip(self._skin + self._lips, 0, 1)
        skin = like.skin * smoothstep(like.saturation, *_MIXED)
        looks = np.maximum(skin, self._lips * like.reddish)
        own = (1 - beside * (1 - looks)) * like.hair
        return clear, np.asarray(1 - like.trust * face * (1 - own), dtype=np.float32)


@lru_cache(maxsize=4)
def _zones(model: SurfaceModel, size: int) -> tuple[FloatArray, FloatArray]:
    """Return the share (s, s) of skin of the face and of lips in each texel; 0 for a model without named regions."""
    surface = uv_surface(model, size)
    lips, front = in_regions(model, _LIPS), np.ones(len(model.mean), dtype=bool)
    brows, eyes = in_regions(model, _BROWS), in_regions(model, _EYES)
    if brows.any():
        front &= model.mean[:, 1] < model.mean[brows, 1].max() + _ABOVE_BROWS
    if eyes.any():
        front &= model.mean[:, 2] > model.mean[eyes, 2].min() - _BEHIND_EYES
    skin = in_regions(model, _SKIN) & front
    both = surface.unroll(model, np.stack([skin, lips], axis=1).astype(np.float32))
    return both[..., 0], both[..., 1]
