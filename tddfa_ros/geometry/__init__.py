"""Regions of interest, weak-perspective poses, rotations and the metric camera; NumPy and OpenCV only."""
