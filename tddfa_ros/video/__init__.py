"""Annotate videos and camera streams: track, smooth and draw faces, keeping timestamps and audio."""

from __future__ import annotations

from tddfa_ros.video.annotate import VideoSummary, annotate_video
from tddfa_ros.video.job import VideoOptions
from tddfa_ros.video.window import LiveWindow, why_no_window

__all__ = ["LiveWindow", "VideoOptions", "VideoSummary", "annotate_video", "why_no_window"]
