"""Irises and the direction of the gaze."""

from tddfa_ros.gaze.direction import Gaze, estimate_gaze, eye_look
from tddfa_ros.gaze.iris_fit import Iris, find_irises, iris_color

__all__ = ["Gaze", "Iris", "estimate_gaze", "eye_look", "find_irises", "iris_color"]
