"""Edit faces: shape attributes, age of the skin, expressions, expression transfer, and re-rendering of the image."""

from __future__ import annotations

from tddfa_ros.editing.ageing import age_skin
from tddfa_ros.editing.edited import edit_image
from tddfa_ros.editing.editor import (
    AttributeEditor,
    Control,
    default_attributes,
    edit_params,
    parse_changes,
)
from tddfa_ros.editing.matching import matched_params
from tddfa_ros.editing.neutral import neutral_params
from tddfa_ros.editing.rerender import Rerenderer, rerender
from tddfa_ros.editing.transfer import REGIONS, transfer_expression
from tddfa_ros.morphable.attributes import Attribute, AttributeSet
from tddfa_ros.morphable.measures import MEASURES, measure_face

__all__ = [
    "MEASURES",
    "REGIONS",
    "Attribute",
    "AttributeEditor",
    "AttributeSet",
    "Control",
    "Rerenderer",
    "age_skin",
    "default_attributes",
    "edit_image",
    "edit_params",
    "matched_params",
    "measure_face",
    "neutral_params",
    "parse_changes",
    "rerender",
    "transfer_expression",
]
