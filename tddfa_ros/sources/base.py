"""Protocol of image sources, and the frames they return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from tddfa_ros.types import ImageBGR, Intrinsics

DEFAULT_RATE = 30.0
"""Frames per second of sources without a native rate."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        intrinsics: camera intrinsics; None when unknown.
        seconds: presentation time from the start of a video file, s; None for other sources.
    """

    image: ImageBGR
    intrinsics: Intrinsics | None = None
    seconds: float | None = None


class ImageSource(Protocol):
    """An open image source.

    Attributes:
        rate: frames per second at which to read; 0 for a camera, whose :meth:`read` blocks until the next frame.
    """

    rate: float

    def read(self, seconds: float) -> Frame | None:
        """Read the next frame.

        Args:
            seconds: time since the first frame, s; used by the virtual camera only.

        Returns:
            The frame; None at the end of the source and on every later call.

        Raises:
            ImageError: this frame cannot be read; later ones may.
            SourceError: the source delivers no more frames.
        """

    def close(self) -> None:
        """Release the device or file; the source cannot be read afterwards."""


def fit_within(image: ImageBGR, width: int, height: int) -> ImageBGR:
    """Shrink an image to fit into ``width`` x ``height`` px, keeping its aspect ratio; a smaller one is returned unchanged."""
    scale = min(width / image.shape[1], height / image.shape[0])
    if scale >= 1:
        return image
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    # Other interpolations alias when they shrink.
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
