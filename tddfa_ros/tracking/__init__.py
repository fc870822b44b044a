"""Tracking: images in, faces that keep their name out."""

from tddfa_ros.tracking.tracker import FaceTracker

__all__ = ["FaceTracker"]
