"""Sample files for the commands in the documentation: one image and one video of a face.

``python -m tddfa_ros.demo.samples [FOLDER]`` writes ``astronaut.png`` and ``astronaut.mp4`` into FOLDER (``samples``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tddfa_ros.errors import TddfaError
from tddfa_ros.files import atomic_path
from tddfa_ros.outputs.image_io import write_image
from tddfa_ros.sources.virtual_camera import VirtualCamera, astronaut_image, demo_camera
from tddfa_ros.video.encoder import VideoEncoder

IMAGE_NAME = "astronaut.png"
VIDEO_NAME = "astronaut.mp4"
VIDEO_SIZE = (640, 480)
VIDEO_RATE = 25.0
VIDEO_SECONDS = 4.0


def write_samples(folder: Path) -> list[Path]:
    """Write the sample files that do not exist yet.

    Args:
        folder: created when missing.

    Returns:
        The files written; existing files are kept.

    Raises:
        SourceError: scikit-image, which carries the portrait, is not installed.
        TddfaError: a file cannot be written.
    """
    image, video = folder / IMAGE_NAME, folder / VIDEO_NAME
    written = []
    if not image.exists():
        write_image(image, astronaut_image())
        written.append(image)
    if not video.exists():
        with atomic_path(video) as path:
            _write_video(path, demo_camera(*VIDEO_SIZE, rate=VIDEO_RATE))
        written.append(video)
    return written


def _write_video(path: Path, camera: VirtualCamera) -> None:
    encoder = VideoEncoder(path, VIDEO_SIZE, VIDEO_RATE)
    try:
        for index in range(round(VIDEO_SECONDS * VIDEO_RATE)):
            frame = camera.read(index / VIDEO_RATE)
            if frame is not None:
                encoder.write(frame.image)
    finally:
        encoder.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tddfa_ros.demo.samples",
        description="Write the image and the video that the documentation uses; existing files are kept.",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("samples"))
    options = parser.parse_args(arguments)
    try:
        written = write_samples(options.folder)
    except (TddfaError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
