"""Looks and worn objects as layers that pictures and videos are drawn with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tddfa_ros.face import Face
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.look import Look
from tddfa_ros.makeup.objects import WearableObject
from tddfa_ros.makeup.tryon import Placement, TryOn
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.layers import Layer
from tddfa_ros.types import ImageBGR


def makeup_effect(model: MorphableModel, look: Look) -> Layer:
    """A look as a layer; looks that differ have names that differ. Raises as :class:`Makeup` does."""
    artist = Makeup(model, look)
    digest = hashlib.sha256(repr(look).encode())
    for sticker in look.stickers:
        digest.update(sticker.image.read_bytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return artist.apply(image, faces)

    return Layer(f"makeup-{digest.hexdigest()[:16]}", "make-up", paint)


def tryon_effect(model: MorphableModel, worn: WearableObject, placement: Placement) -> Layer:
    """A worn object as a layer; what differs has names that differ. Raises as :class:`TryOn` does."""
    fitted = TryOn(model, worn, placement)
    digest = hashlib.sha256(repr(placement).encode())
    for part in worn.parts:
        for array in (part.vertices, part.triangles, part.colours, part.uv, part.texture):
            digest.update(b"-" if array is None else array.tobytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return fitted.apply(image, faces)

    return Layer(f"tryon-{digest.hexdigest()[:16]}", "a worn object", paint)
