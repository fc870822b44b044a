"""Where pictures come from when no camera driver runs: cameras, videos, folders, and a virtual camera over one photo."""

from __future__ import annotations

import os

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.base import DEFAULT_RATE, Frame, ImageSource, fit_within
from tddfa_ros.sources.capture import CameraSource, VideoSource
from tddfa_ros.sources.folder import SUFFIXES, ImageFileSource
from tddfa_ros.sources.virtual_camera import VirtualCamera, demo_camera

__all__ = [
    "DEFAULT_RATE",
    "CameraSource",
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
    source: str, width: int = 640, height: int = 480, rate: float = 0.0, loop: bool = True
) -> ImageSource:
    """Open a source of pictures.

    Args:
        source: ``demo``; a camera: ``0`` or ``/dev/video0``; a stream: ``rtsp://...``; or a path: a video, a picture, or
            a folder of pictures, shown in the order of their names.
        width, height: size that a camera is asked for and the virtual camera has, px; files are shrunk to fit into it.
        rate: pictures per second; 0 = the source's own.
        loop: start anew at the end; cameras and streams have none.

    Raises:
        SourceError: there is no such source, or it cannot be read.
    """
    if source == "demo":
        return demo_camera(width, height, rate, loop)
    if source.isdigit() or source.startswith("/dev/") or "://" in source:
        return CameraSource(source, width, height, rate)
    path = os.path.expanduser(source)
    if not source or not os.path.exists(path):
        raise SourceError(f"there is no camera, video, picture or folder '{source}'")
    if os.path.isdir(path) or path.lower().endswith(SUFFIXES):
        return ImageFileSource(path, width, height, rate, loop)
    return VideoSource(path, width, height, rate, loop)
