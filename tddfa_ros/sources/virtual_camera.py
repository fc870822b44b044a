"""A virtual camera that moves over one photograph: pictures that move, without hardware and always the same."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.errors import SourceError
from tddfa_ros.sources.base import DEFAULT_RATE, Frame
from tddfa_ros.types import DoubleArray, ImageBGR, Intrinsics

PERIOD = 15.0
"""Seconds after which the motion repeats itself, without a jump."""

ASTRONAUT_FACE = (220.0, 118.0)
"""Middle of the head in scikit-image's astronaut.png, px."""


class VirtualCamera:
    """A pinhole camera in front of a flat photograph.

    It always looks at the photograph at a right angle, moves sideways (pan), towards it (zoom) and turns about its own
    axis (roll). Such views are similarity transforms of the photograph, and the camera matrix never changes.

    Args:
        photo: (H, W, 3) uint8 BGR.
        width, height: size of the pictures, px.
        anchor: (x, y) in the photograph, px, which stays in view; None = the middle.
        zoom: picture px per photo px at mid-distance, for 640x480 px; it varies by 20 %.
        rate: pictures per second. loop: go on after :data:`PERIOD` seconds.
    """

    def __init__(
        self,
        photo: ImageBGR,
        width: int = 640,
        height: int = 480,
        anchor: tuple[float, float] | None = None,
        zoom: float = 1.65,
        rate: float = DEFAULT_RATE,
        loop: bool = True,
    ) -> None:
        middle = ((photo.shape[1] - 1) / 2, (photo.shape[0] - 1) / 2)
        self.rate = rate
        self.intrinsics = _calibrated(width, height)
        self._photo = photo
        self._size = (width, height)
        self._anchor = np.array(middle if anchor is None else anchor, dtype=np.float64)
        self._zoom = zoom
        self._loop = loop

    def similarity(self, seconds: float) -> DoubleArray:
        """The view at a time: (2, 3), photo px to picture px, ``[s*R(angle) | t]``."""
        phase = 2 * math.pi * seconds / PERIOD
        width, height = self._size
        unit = min(width / 640, height / 480)
        # Whole numbers of swings per period, so that it closes; each its own, so that they do not move in step.
        scale = unit * self._zoom * (1 - 0.2 * math.cos(phase))
        angle = math.radians(18) * math.sin(2 * phase)
        pan = unit * np.array([100 * math.sin(2 * phase + 0.7), 40 * math.sin(3 * phase)])
        c, s = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[c, -s], [s, c]])
        target = np.array([(width - 1) / 2, (height - 1) / 2]) + pan
        return np.column_stack([linear, target - linear @ self._anchor])

    def read(self, seconds: float) -> Frame | None:
        """The view at a time; None after one period when it does not loop."""
        if not self._loop and seconds >= PERIOD:
            return None
        view = cv2.warpAffine(
            self._photo,
            self.similarity(seconds),
            self._size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return Frame(np.asarray(view, dtype=np.uint8), self.intrinsics)

    def close(self) -> None:
        """Nothing to release."""


def demo_camera(
    width: int = 640, height: int = 480, rate: float = 0.0, loop: bool = True
) -> VirtualCamera:
    """A virtual camera over the portrait of Eileen Collins that comes with scikit-image (NASA, public domain).

    Raises:
        SourceError: scikit-image is not installed, or came without the picture.
    """
    photo = astronaut_image()
    return VirtualCamera(photo, width, height, ASTRONAUT_FACE, rate=rate or DEFAULT_RATE, loop=loop)


def astronaut_image() -> ImageBGR:
    """Read the portrait of Eileen Collins that comes with scikit-image: (512, 512, 3) uint8, BGR.

    Raises:
        SourceError: scikit-image is not installed, or came without the image.
    """
    # Found, not imported: that would cost half a second and more memory than the whole source.
    package = importlib.util.find_spec("skimage")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        image = cv2.imread(str(Path(folder) / "data" / "astronaut.png"), cv2.IMREAD_COLOR)
        if image is not None:
            return np.asarray(image, dtype=np.uint8)
    raise SourceError(
        "the demo shows a picture that comes with scikit-image, which is not here: pip install scikit-image"
    )


def _calibrated(width: int, height: int) -> Intrinsics:
    assumed = Intrinsics.from_fov(width, height)
    return Intrinsics(width, height, assumed.k)
