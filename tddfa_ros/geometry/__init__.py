"""Regions of interest, weak-perspective pose, rotations, camera model and error metrics; NumPy and OpenCV only."""
