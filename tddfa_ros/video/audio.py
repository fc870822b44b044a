"""The sound of the source, put to the new pictures by the program ffmpeg where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tddfa_ros.errors import TddfaError
from tddfa_ros.video.mp4 import read_track

_CODINGS = (("-c:a", "copy"), ("-c:a", "aac"))  # the second where MP4 cannot hold the first


def add_audio(video: Path, source: Path, output: Path) -> str | None:
    """Write the pictures of ``video`` with the sound of ``source``, cut to the length of ``video``.

    The pictures are copied, not coded again. So is the sound, unless MP4 cannot hold it.

    Args:
        video: an MP4 file. source: any video file. output: an MP4 file, written only when all is well.

    Returns:
        None, or why there is no sound in ``output``, which then does not exist.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "the sound is left out, because the program ffmpeg is not installed"
    length = f"{read_track(video).duration:.6f}"
    partial = output.with_name(f".{output.stem}.part.mp4")
    inputs = ["-i", str(video), "-i", str(source), "-map", "0:v:0", "-map", "1:a?"]
    said = ""
    try:
        for coding in _CODINGS:
            command = [
                ffmpeg,
                "-nostdin",
                "-loglevel",
                "error",
                "-y",
                *inputs,
                "-c:v",
                "copy",
                *coding,
            ]
            command += ["-t", length, "-movflags", "+faststart", str(partial)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
            if done.returncode == 0 and _same_pictures(video, partial):
                partial.replace(output)
                return None
    except OSError as error:
        said = error.strerror or str(error)
    finally:
        partial.unlink(missing_ok=True)
    return f"the sound is left out, because ffmpeg failed: {said}"


def _same_pictures(video: Path, copy: Path) -> bool:
    try:
        return len(read_track(copy).sizes) == len(read_track(video).sizes)
    except TddfaError:
        return False
