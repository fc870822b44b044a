"""Smoothing: tracked faces in, tracked faces with steady parameters out."""

from tddfa_ros.smoothing.smoother import FaceSmoother

__all__ = ["FaceSmoother"]
