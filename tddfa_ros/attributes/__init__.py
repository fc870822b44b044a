"""What faces look like, estimated: age, gender presentation, basic expression. Nothing here runs unless it is asked for."""

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
