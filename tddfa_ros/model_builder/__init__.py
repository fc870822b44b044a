"""Building the default morphable model (needs the extra ``[model]``; run by ``tddfa models build``)."""

from tddfa_ros.model_builder.build import build

__all__ = ["build"]
