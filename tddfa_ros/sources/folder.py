"""Image files: a single one, or all of a folder."""

from __future__ import annotations

import re
from pathlib import Path

from tddfa_ros.errors import ImageError, SourceError
from tddfa_ros.sources.base import DEFAULT_RATE, Frame, fit_within
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.types import MAX_IMAGE_PIXELS

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageFileSource:
    """An image file or a folder of them, as a source of frames in natural order (``2.jpg`` before ``10.jpg``).

    Args:
        path: an image file or a folder.
        width: maximum width, px; larger images are shrunk.
        height: maximum height, px.
        rate: frames per second; 0 = 30.
        loop: restart after the last image.
        max_pixels: largest accepted width x height; larger images are refused before they are decoded.

    Raises:
        SourceError: there are no images, or the folder cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        width: int = 640,
        height: int = 480,
        rate: float = 0.0,
        loop: bool = True,
        max_pixels: int = MAX_IMAGE_PIXELS,
    ) -> None:
        self.rate = rate or DEFAULT_RATE
        self.files = image_files(Path(path))
        self._size = (width, height)
        self._loop = loop
        self._max_pixels = max_pixels
        self._next = 0
        self._broken = 0
        # A single image is read from disk only once.
        self._kept: Frame | None = None

    def read(self, seconds: float) -> Frame | None:
        """Read the next image; see :meth:`ImageSource.read`."""
        if self._next >= len(self.files):
            if not self._loop:
                return None
            self._next = 0
        file = self.files[self._next]
        self._next += 1
        if self._kept is not None:
            return self._kept
        frame = self._load(file)
        if len(self.files) == 1:
            self._kept = frame
        return frame

    def skip(self, frames: int) -> int:
        """Skip images without reading them; return how many were skipped."""
        skipped = min(frames, len(self.files) - self._next)
        self._next += skipped
        return skipped

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _load(self, file: Path) -> Frame:
        try:
            image = read_image(file, self._max_pixels)
        except ImageError as error:
            self._broken += 1
            if self._broken < len(self.files):
                raise
            if len(self.files) == 1:
                raise SourceError(str(error)) from error
            raise SourceError(
                f"none of the {len(self.files)} images in {file.parent} can be read"
            ) from error
        self._broken = 0
        return Frame(fit_within(image, *self._size))


def image_files(path: Path) -> list[Path]:
    """List the images of a folder in natural order, or the one file.

    Raises:
        SourceError: the folder has no images or cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        files = [p for p in path.iterdir() if p.name.lower().endswith(SUFFIXES) and p.is_file()]
    except OSError as error:
        raise SourceError(f"the folder {path} cannot be read: {error.strerror}") from error
    if not files:
        raise SourceError(f"there are no images ({', '.join(SUFFIXES)}) in the folder {path}")
    return sorted(files, key=natural_order)


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Sort key of natural order: ``2.jpg`` before ``10.jpg``."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
