"""Image sources: cameras, network streams, video files, image files, ROS bags, and a virtual camera over a still image."""

from __future__ import annotations

import os

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.base import DEFAULT_RATE, Frame, ImageSource, fit_within
from tddfa_ros.sources.capture import CameraSource, VideoSource
from tddfa_ros.sources.folder import SUFFIXES, ImageFileSource
from tddfa_ros.sources.virtual_camera import DemoVideo, VirtualCamera, demo_camera
from tddfa_ros.types import MAX_IMAGE_PIXELS

__all__ = [
    "DEFAULT_RATE",
    "SUFFIXES",
    "CameraSource",
    "DemoVideo",
    "Frame",
    "ImageFileSource",
    "ImageSource",
    "VideoSource",
    "VirtualCamera",
    "create_source",
    "demo_camera",
    "fit_within",
]


def create_source(
    source: str,
    width: int = 640,
    height: int = 480,
    rate: float = 0.0,
    loop: bool = True,
    max_pixels: int = MAX_IMAGE_PIXELS,
) -> ImageSource:
    """Open an image source.

    Args:
        source: ``demo`` (virtual camera); a camera, ``0`` or ``/dev/video0``; a stream, ``rtsp://...``; or the path of a
            video, an image, or a folder of images in natural order.
        width: requested width of a camera, width of the virtual camera, maximum width of files, px.
        height: the same for the height, px.
        rate: frames per second; 0 = the rate of the source.
        loop: restart at the end; without effect on cameras and streams.
        max_pixels: largest accepted width x height of an image or a video.

    Raises:
        SourceError: the source does not exist or cannot be read.
    """
    if source == "demo":
        return demo_camera(width, height, rate, loop)
    if source.isdigit() or source.startswith("/dev/") or "://" in source:
        return CameraSource(source, width, height, rate)
    path = os.path.expanduser(source)
    if not source or not os.path.exists(path):
        raise SourceError(f"there is no camera, video, image or folder '{source}'")
    if os.path.isdir(path) or path.lower().endswith(SUFFIXES):
        return ImageFileSource(path, width, height, rate, loop, max_pixels)
    return VideoSource(path, width, height, rate, loop, max_pixels)
