"""Multi-face tracking with persistent track IDs."""

from tddfa_ros.tracking.tracker import FaceTracker

__all__ = ["FaceTracker"]
