"""Compositing of the inside of mouth and eyes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.editing.openings import Patch
from tddfa_ros.types import FloatArray, ImageBGR

_SKIN = np.array([128, 152, 192], np.float32)  # BGR of skin under which drawn colors look right
_COLORFUL = 0.22  # difference of red and blue over red, of skin in a color image
_WHITE = 215.0  # gray level of the brightest skin in a well exposed image
_DIM, _BRIGHT = 0.2, 1.15
_TINT = 0.35  # share of the difference from average skin that is due to the color of the light


@dataclass(frozen=True, eq=False)
class Light:
    """Illumination of a face, estimated from its skin.

    Attributes:
        skin: (3,) median BGR of the skin.
        brightest: gray level of its brightest parts, which depends on the exposure more than on the tone of the skin.
    """

    skin: FloatArray
    brightest: float


def relit(colors: FloatArray, light: Light) -> FloatArray:
    """Adapt colors (..., 3) BGR 0..255 to the illumination of a face; gray in a gray image."""
    skin = light.skin
    brightness = np.clip(light.brightest / _WHITE, _DIM, _BRIGHT)
    colorful = np.clip((skin[2] - skin[0]) / max(float(skin[2]), 1.0) / _COLORFUL, 0, 1)
    tint = (skin / max(float(skin.mean()), 1.0)) / (_SKIN / _SKIN.mean())
    gray = colors.mean(axis=-1, keepdims=True)
    own = gray + colorful * (colors - gray)
    return np.asarray(own * brightness * (1 + _TINT * colorful * (tint - 1)), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class OpeningState:
    """State of an opening before and after the edit.

    Attributes:
        patch: window around it.
        old: (h, w) 0..1, visible inside in the source image.
        new: (h, w) 0..1, visible inside in the new image.
        before: mean height of ``old``, in face sizes.
        after: mean height of ``new``, in face sizes.
        unchanged: ``after`` with the expression of the source image.
    """

    patch: Patch
    old: FloatArray
    new: FloatArray
    before: float
    after: float
    unchanged: float


@dataclass(frozen=True, eq=False)
class Inside:
    """The visible inside of an opening in the new image.

    Attributes:
        patch: window around it.
        weight: 0..1, share of compositing against warping alone.
        zone: (h, w) part of the source image to be replaced by skin.
        image: (h, w, 3) float32 BGR of the inside.
        covered: (h, w) visible inside.
        line: (h, w) darkness of a line on top; None = no line.
        lips: (h, w) coverage of the source image by the lips and by the opening between them; None = an eye.
        closing: 0..1, share of the source image's opening that closes.
    """

    patch: Patch
    weight: float
    zone: FloatArray
    image: FloatArray
    covered: FloatArray
    line: FloatArray | None = None
    lips: FloatArray | None = None
    closing: float = 0.0


def shifted(images: tuple[FloatArray, ...], shift: FloatArray) -> tuple[FloatArray, ...]:
    """Translate images by ``shift`` (2,) px, replicating borders."""
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=np.float64)
    return tuple(
        np.asarray(
            cv2.warpAffine(p, move, p.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            dtype=np.float32,
        )
        for p in images
    )  # fmt: skip


def compose(out: ImageBGR, inside: Inside, shadow: FloatArray) -> None:
    """Composite the inside of an opening into an image in place; ``shadow`` (3,) is the BGR of the line."""
    here = inside.patch.slices
    alpha = (inside.weight * inside.covered)[..., None]
    mixed = out[here] * (1 - alpha) + inside.image * alpha
    if inside.line is not None:
        line = inside.line[..., None]
        mixed = mixed * (1 - line) + shadow * line
    out[here] = to_bytes(mixed)


def to_bytes(image: FloatArray) -> ImageBGR:
    """Round and clip to uint8."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
