"""Seg maps: the classes of :mod:`tddfa_ros.rendering.parsing`, and an id for what is not known."""

from __future__ import annotations

from tddfa_ros.rendering.parsing import (
    CLASS_NAMES,
    CLASSES,
    ParsingClass,
    colourise,
    render_parsing,
    triangle_classes,
    vertex_classes,
)

__all__ = [
    "CLASSES",
    "CLASS_NAMES",
    "IGNORE",
    "ParsingClass",
    "colourise",
    "render_parsing",
    "triangle_classes",
    "vertex_classes",
]

IGNORE = 255
"""Id of pixels that nothing is known about; no loss looks at them."""
