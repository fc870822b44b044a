"""Optional estimates of perceived age, gender presentation and basic expression; off by default."""

from __future__ import annotations

from tddfa_ros.attributes.estimate import AttributeEstimator, Attributes, attributes_record
from tddfa_ros.attributes.expressions import Expression, basic_expression
from tddfa_ros.attributes.track import (
    AttributeTrack,
    AttributeTracks,
    SmoothedAttributes,
    smoothed_record,
)

__all__ = [
    "AttributeEstimator",
    "AttributeTrack",
    "AttributeTracks",
    "Attributes",
    "Expression",
    "SmoothedAttributes",
    "attributes_record",
    "basic_expression",
    "smoothed_record",
]
