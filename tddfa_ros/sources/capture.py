"""Cameras, network streams and video files, read by OpenCV."""

from __future__ import annotations

import os
import re
import sys

import cv2
import numpy as np

from tddfa_ros.errors import SourceError
from tddfa_ros.names import utf8_path
from tddfa_ros.sources.base import DEFAULT_RATE, Frame, fit_within
from tddfa_ros.sources.container import truncation
from tddfa_ros.types import MAX_IMAGE_PIXELS

_PLAUSIBLE_RATE = (1.0, 240.0)
_LEAST_INTERVAL = 1e-4  # s; frames closer than that have equal times
_MJPG_FROM = 640
"""Width above which motion JPEG is requested from a camera: raw frames exceed the bandwidth of USB 2."""


class CameraSource:
    """A camera or a network stream; :meth:`read` blocks until the next frame.

    Args:
        source: ``0``, ``/dev/video0``, or a URL such as ``rtsp://...``.
        width: requested width, px; the camera may deliver another size.
        height: requested height, px.
        rate: requested frames per second; 0 = the default of the camera.

    Raises:
        SourceError: the camera does not exist or cannot be opened.
    """

    rate = 0.0

    def __init__(self, source: str, width: int = 640, height: int = 480, rate: float = 0.0) -> None:
        self._name = f"camera {source}"
        if "://" in source:
            self._name = "the stream"  # the URL may contain a password
            if not source.isprintable():
                raise SourceError("the URL of the stream has characters that are not printable")
            self._capture = cv2.VideoCapture(source)
        else:
            self._capture = self._open_device(source)
        if not self._capture.isOpened():
            raise SourceError(
                f"{self._name} cannot be opened: check that it is a camera and that no other program uses it"
            )
        if width > _MJPG_FROM:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if rate > 0:
            self._capture.set(cv2.CAP_PROP_FPS, rate)
        # Otherwise drivers queue old frames.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self, seconds: float) -> Frame | None:
        """Wait for the next frame; see :meth:`ImageSource.read`."""
        good, image = self._capture.read()
        if not good or image is None:
            raise SourceError(f"{self._name} delivers no more frames: check that it is connected")
        return Frame(_bgr(image))

    def close(self) -> None:
        """Release the camera for other programs."""
        self._capture.release()

    def _open_device(self, source: str) -> cv2.VideoCapture:
        if sys.platform != "linux":
            return cv2.VideoCapture(int(source) if source.isdigit() else source)
        device = f"/dev/video{source}" if source.isdigit() else source
        if not os.path.exists(device):
            raise SourceError(f"there is no camera {device}")
        if not os.access(device, os.R_OK | os.W_OK):
            raise SourceError(
                f"no permission to open camera {device}: on most systems the user must be in the group 'video'"
            )
        self._name = f"camera {device}"
        # Resolve links such as /dev/v4l/by-id/...: OpenCV opens devices reliably by number only.
        number = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device))
        return cv2.VideoCapture(int(number[1]), cv2.CAP_V4L2) if number else cv2.VideoCapture()


class VideoSource:
    """A video file; frames are rotated as its metadata says.

    Args:
        path: path of the file.
        width: maximum width, px; larger frames are shrunk.
        height: maximum height, px.
        rate: frames per second; 0 = as recorded.
        loop: restart at the end.
        max_pixels: largest accepted width x height of the frames.

    Attributes:
        count: number of frames according to the container, which may be wrong; 0 = unknown.
        truncation: one sentence if the file is shorter than its container declares, so that the video ends early; else None.

    Raises:
        SourceError: the file cannot be read as a video, or its frames are too large.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int = 640,
        height: int = 480,
        rate: float = 0.0,
        loop: bool = True,
        max_pixels: int = MAX_IMAGE_PIXELS,
    ) -> None:
        self._path = os.fspath(path)
        self._size = (width, height)
        self._loop = loop
        self._max_pixels = max_pixels
        self.truncation = truncation(self._path)
        self._capture = self._open()
        recorded = float(self._capture.get(cv2.CAP_PROP_FPS))
        low, high = _PLAUSIBLE_RATE
        self.rate = rate or (recorded if low <= recorded <= high else DEFAULT_RATE)
        self.count = max(round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self._count = 0
        self._seconds = -1.0 / self.rate

    def read(self, seconds: float) -> Frame | None:
        """Read the next frame; see :meth:`ImageSource.read`."""
        good, image = self._capture.read()
        if not good and self._count == 0:
            raise SourceError(f"the video {self._path} has no readable frame")
        if not good and self._loop:
            # Reopen instead of seeking: many containers have no index.
            self._capture.release()
            self._capture = self._open()
            self._seconds = -1.0 / self.rate
            good, image = self._capture.read()
        if not good or image is None:
            return None
        self._step()
        return Frame(fit_within(_bgr(image), *self._size), seconds=self._seconds)

    def skip(self, frames: int) -> int:
        """Skip frames without decoding them; return how many were skipped."""
        for skipped in range(frames):
            if not self._capture.grab():
                return skipped
            self._step()
        return frames

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _step(self) -> None:
        """Record the time of the frame just grabbed; missing or repeated times are replaced by increasing ones."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not stamp > self._seconds + _LEAST_INTERVAL:
            stamp = self._seconds + 1.0 / self.rate
        self._seconds = stamp
        self._count += 1

    def _open(self) -> cv2.VideoCapture:
        if not os.access(self._path, os.R_OK):
            raise SourceError(f"no permission to read {self._path}")
        with utf8_path(self._path) as path:
            capture = cv2.VideoCapture(path)
        if not capture.isOpened():
            raise SourceError(
                self.truncation or f"{self._path} cannot be read as a video or an image"
            )
        width, height = (
            round(capture.get(side))
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > self._max_pixels:
            capture.release()
            raise SourceError(
                f"{self._path} has frames of {width}x{height} px, more than the limit of {self._max_pixels} px"
            )
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture


def _bgr(image: cv2.typing.MatLike) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(image, dtype=np.uint8)
