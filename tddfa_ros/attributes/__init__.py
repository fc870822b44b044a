"""Optional estimates of perceived age, gender presentation and basic expression; off by default."""

from __future__ import annotations

from tddfa_ros.attributes.estimate import AttributeEstimator, Attributes, attributes_record
from tddfa_ros.attributes.expressions import Expression, basic_expression

__all__ = [
    "AttributeEstimator",
    "Attributes",
    "Expression",
    "attributes_record",
    "basic_expression",
]
