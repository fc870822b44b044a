"""Draw estimated attributes beside faces."""

from __future__ import annotations

from collections.abc import Sequence

from tddfa_ros.attributes.estimate import Attributes
from tddfa_ros.face import Face
from tddfa_ros.rendering.captions import draw_text, text_extent
from tddfa_ros.rendering.style import line_scale, tint_of
from tddfa_ros.types import ImageBGR


def caption_lines(attributes: Attributes) -> list[str]:
    """Return the caption of one face: estimates with probability or interval."""
    low, high = attributes.age_interval()
    presentation, probability = attributes.gender_presentation
    lines = [
        f"age {low} to {high}",
        f"{presentation} {probability:.2f}",
    ]
    if attributes.expression is not None:
        lines.append(f"{attributes.expression.name} {attributes.expression.probability:.2f}")
    return lines


def draw_attributes(
    image: ImageBGR, faces: Sequence[Face], attributes: Sequence[Attributes]
) -> ImageBGR:
    """Return a copy of an (H, W, 3) uint8 BGR image with a caption below each face, shifted into the image."""
    canvas = image.copy()
    scale = line_scale(canvas)
    for number, (face, found) in enumerate(zip(faces, attributes, strict=True), start=1):
        lines = caption_lines(found)
        width, height = text_extent(lines, scale)
        middle, bottom = face.landmarks68[:, 0].mean(), face.landmarks68[:, 1].max()
        left = round(min(max(middle - width / 2, 0), max(canvas.shape[1] - width, 0)))
        top = round(min(max(bottom + 6 * scale, 0), max(canvas.shape[0] - height, 0)))
        tint = tint_of(getattr(face, "id", "") or f"f{number}")
        draw_text(canvas, lines, (left, top), scale, tint)
    return canvas
