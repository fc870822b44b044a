"""Pictures and videos on disk, and the face in a picture that a command is about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tddfa_ros.errors import ImageError, TddfaError
from tddfa_ros.face import Face
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import ImageBGR

_CODECS = ("avc1", "mp4v")  # H.264 plays everywhere, but many builds of OpenCV cannot write it
_JPEG_QUALITY = 92


def read_picture(path: Path) -> ImageBGR:
    """A picture as (H, W, 3) uint8 BGR. ImageError when it is missing or none."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise ImageError(f"{path} is not a picture that can be read")
    return np.asarray(image, dtype=np.uint8)


def write_picture(path: Path, image: ImageBGR) -> Path:
    """Write a picture; the suffix chooses the format. TddfaError when that fails."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    try:
        done, content = cv2.imencode(path.suffix or ".png", image, options if jpeg else [])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except (cv2.error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no picture format"
        raise TddfaError(f"cannot write the picture {path}: {reason}") from error
    if not done:
        raise TddfaError(f"cannot encode the picture {path}")
    return path


def write_video(path: Path, frames: Iterable[ImageBGR], rate: float) -> int:
    """Write frames of one size as a video and return their number. TddfaError when that fails or there are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer: Any = None
    count = 0
    try:
        for frame in frames:
            if writer is None:
                writer = _opened(path, rate, (frame.shape[1], frame.shape[0]))
            writer.write(frame)
            count += 1
    finally:
        if writer is not None:
            writer.release()
    if count == 0:
        raise TddfaError(f"there are no frames to write to {path}")
    return count


def face_of(pipeline: FacePipeline, image: ImageBGR, what: str, number: int = 1) -> Face:
    """The ``number``-th largest face of a picture. ImageError, naming ``what``, when there are fewer."""
    faces = pipeline(image)
    if len(faces) < number:
        count = "no face" if not faces else f"only {len(faces)} face{'s' * (len(faces) > 1)}"
        raise ImageError(f"there is {count} in {what}")
    return faces[number - 1]


def _opened(path: Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    video: Any = cv2
    for codec in _CODECS:
        code = video.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, size)
        if writer.isOpened():
            return writer
    raise TddfaError(f"cannot write {path}: this OpenCV has no encoder for its format")
