"""Select a face of an image, and write frames as a video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tddfa_ros.errors import ImageError, TddfaError
from tddfa_ros.face import Face
from tddfa_ros.files import atomic_path
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import ImageBGR
from tddfa_ros.video.encoder import VideoEncoder, even_size


def write_video(path: Path, frames: Iterable[ImageBGR], rate: float) -> int:
    """Write frames of one size as MP4, atomically, and return their number; an odd last row or column is cut off.

    Raises:
        TddfaError: there is no frame, or the file cannot be written.
    """
    with atomic_path(path) as temporary:
        return _encode(temporary, path, frames, rate)


def _encode(temporary: Path, path: Path, frames: Iterable[ImageBGR], rate: float) -> int:
    encoder: VideoEncoder | None = None
    try:
        for frame in map(even_size, frames):
            if encoder is None:
                encoder = VideoEncoder(
                    temporary, (frame.shape[1], frame.shape[0]), rate, target=path
                )
            encoder.write(frame)
    finally:
        if encoder is not None:
            encoder.close()
    if encoder is None:
        raise TddfaError(f"there are no frames to write to {path}")
    return encoder.count


def face_of(pipeline: FacePipeline, image: ImageBGR, what: str, number: int = 1) -> Face:
    """Return the ``number``-th largest face of an image.

    Raises:
        ImageError: the image, called ``what``, has fewer faces.
    """
    faces = pipeline(image)
    if len(faces) < number:
        count = "no face" if not faces else f"only {len(faces)} face{'s' * (len(faces) > 1)}"
        raise ImageError(f"there is {count} in {what}")
    return faces[number - 1]
