"""What all sources of pictures have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from tddfa_ros.types import ImageBGR, Intrinsics

DEFAULT_RATE = 30.0
"""Pictures per second of sources that have no rate of their own."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, (height, width, 3) uint8 BGR, and what is known about it.

    Attributes:
        intrinsics: the camera model.
        seconds: of a video file: when the picture is shown, counted from the beginning of the file.
    """

    image: ImageBGR
    intrinsics: Intrinsics | None = None
    seconds: float | None = None


class ImageSource(Protocol):
    """An open source of pictures.

    Attributes:
        rate: pictures per second at which it wants to be read; 0 for a camera, which sets the pace itself.
    """

    rate: float

    def read(self, seconds: float) -> Frame | None:
        """The next picture.

        Args:
            seconds: since the start of the showing; only the virtual camera looks at it.

        Returns:
            None at the end, and ever after.

        Raises:
            ImageError: this one picture cannot be read, the next one may.
            SourceError: no picture will ever come again.
        """

    def close(self) -> None:
        """Release the device or file; nothing may be read any more."""


def fit_within(image: ImageBGR, width: int, height: int) -> ImageBGR:
    """Shrink a picture, its aspect kept, until it fits into ``width`` x ``height`` px; a smaller one stays as it is."""
    scale = min(width / image.shape[1], height / image.shape[0])
    if scale >= 1:
        return image
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    # Area averaging, because the others alias when they shrink.
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
