"""Draw estimated attributes beside faces."""

from __future__ import annotations

from collections.abc import Sequence

from tddfa_ros.attributes.track import UNKNOWN, SmoothedAttributes
from tddfa_ros.face import Face
from tddfa_ros.rendering.captions import draw_text, text_extent
from tddfa_ros.rendering.style import line_scale, tint_of
from tddfa_ros.types import ImageBGR


def caption_lines(found: SmoothedAttributes) -> list[str]:
    """Return the caption of one face: what is known, with probability or interval, and what is not."""
    low, high = found.attributes.age_interval()
    feminine, expression = found.attributes.feminine, found.attributes.expression
    lines = [f"age {low} to {high}" if found.age_known else f"age {UNKNOWN}"]
    if found.gender == UNKNOWN:
        lines.append(f"gender {UNKNOWN}")
    else:
        lines.append(
            f"{found.gender} {feminine if found.gender == 'feminine' else 1 - feminine:.2f}"
        )
    if expression is not None and found.expression == UNKNOWN:
        lines.append(f"expression {UNKNOWN}")
    elif expression is not None and found.expression is not None:
        lines.append(f"{found.expression} {expression.probabilities[found.expression]:.2f}")
    return lines


def draw_attributes(
    image: ImageBGR, faces: Sequence[Face], attributes: Sequence[SmoothedAttributes]
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
