"""Seg maps have the classes of :mod:`tddfa_ros.rendering.parsing`, and an id for what is not known."""

from __future__ import annotations

IGNORE = 255
"""Id of pixels that nothing is known about; no loss looks at them."""
