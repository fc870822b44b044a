"""Avatar frames as lines of JSON, for files, pipes and web sockets.

One object per line: ``stamp`` (s), ``id``, ``blendshapes`` (ARKit's 52 names to 0..1), ``rotation`` (quaternion x, y, z, w) and ``position`` (m), both
in glTF's axes, and ``yaw_pitch_roll`` (degrees); see :class:`.frame.AvatarFrame`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.errors import ConfigError
from tddfa_ros.files import is_stream, write_error


def to_line(frame: AvatarFrame) -> str:
    """Convert a frame to JSON without a line break."""
    shapes = frame.blendshapes.astype(float).round(4).tolist()
    record = {
        "stamp": round(frame.stamp, 6),
        "id": frame.id,
        "blendshapes": dict(zip(ARKIT_NAMES, shapes, strict=True)),
        "rotation": frame.rotation.round(6).tolist(),
        "position": frame.position.round(5).tolist(),
        "yaw_pitch_roll": frame.yaw_pitch_roll.round(3).tolist(),
    }
    return json.dumps(record)


def from_line(line: str) -> AvatarFrame:
    """Parse a line of :func:`to_line`.

    Raises:
        ConfigError: the line is not an avatar frame.
    """
    try:
        record = json.loads(line)
        return AvatarFrame(
            float(record["stamp"]),
            str(record["id"]),
            np.array([record["blendshapes"][name] for name in ARKIT_NAMES], dtype=np.float32),
            np.array(record["rotation"], dtype=np.float64),
            np.array(record["position"], dtype=np.float64),
            np.array(record["yaw_pitch_roll"], dtype=np.float64),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not an avatar frame: {line[:60]!r}") from error


class JsonLines:
    """Write frames to a file; ``-`` = standard output.

    The file is opened with the first frame: without a face an existing one is left as it is. Lines appear one by one, for readers that
    follow the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._stream: TextIO | None = sys.stdout if str(path) == "-" else None
        self._size = 0  # of the whole lines in the file, bytes

    def send(self, frames: Sequence[AvatarFrame]) -> None:
        """See :class:`Receiver`.

        Raises:
            TddfaError: the file cannot be written.
        """
        if not frames:
            return
        try:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("w", encoding="utf-8")
            self._stream.writelines(to_line(frame) + "\n" for frame in frames)
            self._stream.flush()  # readers of a pipe need the current frame
            if self._stream is not sys.stdout and not is_stream(self._path):
                self._size = os.fstat(self._stream.fileno()).st_size
        except OSError as error:
            self._cut()
            raise write_error(self._path, error) from error

    def _cut(self) -> None:
        """Cut the file after its last whole line."""
        if self._stream is not sys.stdout and not is_stream(self._path):
            with contextlib.suppress(OSError):
                os.truncate(self._path, self._size)

    def close(self) -> None:
        """See :class:`Receiver`."""
        if self._stream is not None and self._stream is not sys.stdout:
            with contextlib.suppress(OSError):  # every line was flushed, or send has failed
                self._stream.close()
