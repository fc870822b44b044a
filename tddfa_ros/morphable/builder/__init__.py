"""Building the default morphable model (needs the extra ``[model]``; run by ``tddfa models build``)."""

from tddfa_ros.morphable.builder.build import build

__all__ = ["build"]
