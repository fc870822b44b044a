"""Builder of the default morphable model (``tddfa models build``; needs the extra ``[model]``)."""

from tddfa_ros.model_builder.build import build

__all__ = ["build"]
