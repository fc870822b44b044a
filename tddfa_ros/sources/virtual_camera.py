"""A virtual camera that moves over a still image: reproducible video without hardware."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.errors import ImageError, SourceError
from tddfa_ros.sources.base import DEFAULT_RATE, Frame
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.types import DoubleArray, ImageBGR, Intrinsics

PERIOD = 15.0
"""Period of the camera motion, seconds."""

ASTRONAUT_FACE = (220.0, 118.0)
"""Center of the face in scikit-image's astronaut.png, px."""


class VirtualCamera:
    """A pinhole camera that faces a planar still image and pans, zooms and rolls.

    Its views are similarity transforms of the still image; the camera matrix is constant.

    Args:
        photo: (H, W, 3) uint8 BGR still image.
        width: width of the frames, px.
        height: height of the frames, px.
        anchor: (x, y) in the still image, px, that stays in view; None = its center.
        zoom: mean scale, frame px per still px, for 640x480 px; it varies by 20 %.
        rate: frames per second.
        loop: whether to continue after :data:`PERIOD` seconds.
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
        """Return the view at a time as a similarity (2, 3) ``[s*R | t]``, still px to frame px."""
        phase = 2 * math.pi * seconds / PERIOD
        width, height = self._size
        unit = min(width / 640, height / 480)
        # Integer frequencies close the loop; distinct ones decorrelate pan, zoom and roll.
        scale = unit * self._zoom * (1 - 0.2 * math.cos(phase))
        angle = math.radians(18) * math.sin(2 * phase)
        pan = unit * np.array([100 * math.sin(2 * phase + 0.7), 40 * math.sin(3 * phase)])
        c, s = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[c, -s], [s, c]])
        target = np.array([(width - 1) / 2, (height - 1) / 2]) + pan
        return np.column_stack([linear, target - linear @ self._anchor])

    def read(self, seconds: float) -> Frame | None:
        """Render the view at a time; None after one period when not looping."""
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
        """Do nothing: there is no device."""


class DemoVideo:
    """One period of :func:`demo_camera` as a video: frames follow each other at their own times, whatever the clock.

    Args:
        width: width of the frames, px.
        height: height of the frames, px.

    Attributes:
        rate: frames per second.
        count: number of frames.

    Raises:
        SourceError: see :func:`demo_camera`.
    """

    def __init__(self, width: int = 640, height: int = 480) -> None:
        self._camera = demo_camera(width, height, loop=False)
        self.rate = self._camera.rate
        self.count = round(PERIOD * self.rate)
        self._next = 0

    def read(self, seconds: float) -> Frame | None:
        """Render the next frame; None at the end. See :meth:`ImageSource.read`."""
        if self._next >= self.count:
            return None
        now = self._next / self.rate
        self._next += 1
        frame = self._camera.read(now)
        return None if frame is None else replace(frame, seconds=now)

    def skip(self, frames: int) -> int:
        """Skip frames; return how many were skipped."""
        skipped = min(frames, self.count - self._next)
        self._next += skipped
        return skipped

    def close(self) -> None:
        """Do nothing: there is no device."""


def demo_camera(
    width: int = 640, height: int = 480, rate: float = 0.0, loop: bool = True
) -> VirtualCamera:
    """Create a virtual camera over scikit-image's portrait of Eileen Collins (NASA, public domain).

    Raises:
        SourceError: scikit-image is not installed, or lacks the image.
    """
    photo = astronaut_image()
    return VirtualCamera(photo, width, height, ASTRONAUT_FACE, rate=rate or DEFAULT_RATE, loop=loop)


def astronaut_image() -> ImageBGR:
    """Read the portrait of Eileen Collins that comes with scikit-image: (512, 512, 3) uint8, BGR.

    Raises:
        SourceError: scikit-image is not installed, or came without the image.
    """
    # Importing scikit-image would take half a second and much memory.
    package = importlib.util.find_spec("skimage")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        with contextlib.suppress(ImageError):
            return read_image(Path(folder) / "data" / "astronaut.png")
    raise SourceError(
        "the source 'demo' needs an image of scikit-image, which is not installed: pip install scikit-image"
    )


def _calibrated(width: int, height: int) -> Intrinsics:
    assumed = Intrinsics.from_fov(width, height)
    return Intrinsics(width, height, assumed.k)
