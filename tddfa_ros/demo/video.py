"""Render a recording: video, still image, textured mesh."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from tqdm import tqdm

from tddfa_ros.demo.recording import RecordedFace, Recording
from tddfa_ros.errors import TddfaError
from tddfa_ros.export import write_obj
from tddfa_ros.export.mesh_texture import mesh_texture
from tddfa_ros.geometry.pose import decompose, yaw_pitch_roll
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.overlay import OverlayFace, OverlayOptions, draw_overlay
from tddfa_ros.sources import VideoSource
from tddfa_ros.types import POSE_SIZE, ImageBGR
from tddfa_ros.video.encoder import VideoEncoder

_FPS_SPAN = 1_000_000_000  # ns over which the displayed frame rate is averaged


def overlay_face(face: RecordedFace) -> OverlayFace:
    """Convert a recorded face for the overlay."""
    rotation = decompose(face.params[:POSE_SIZE].reshape(3, 4))[1]
    return OverlayFace(
        id=face.id,
        confidence=face.confidence,
        landmarks68=face.landmarks,
        coarse_vertices=face.coarse,
        yaw_pitch_roll=yaw_pitch_roll(rotation),
        distance=face.distance,
    )


def write_video(recording: Recording, path: Path, rate: float) -> tuple[int, ImageBGR | None]:
    """Draw the faces on every image of the same stamp, and encode a video.

    Args:
        recording: recording with images.
        path: path of the ``.mp4``.
        rate: frames per second of the video.

    Returns:
        Number of frames written, and the overlay of the best face (None without a face).

    Raises:
        TddfaError: no codec works, or the file does not decode to the written number of frames.
    """
    height, width = recording.image_shape
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = VideoEncoder(path, (width, height), rate)
    topology = SimpleNamespace(
        triangles=recording.triangles, coarse_triangles=recording.coarse_triangles
    )
    faces = recording.faces_by_stamp()
    mesh_stamps = np.array(sorted(faces), dtype=np.int64)
    first = int(mesh_stamps[0]) if len(mesh_stamps) else 0
    still, count = None, 0
    total = len(recording.image_stamps)
    for stamp, image in tqdm(
        recording.images(), total=total, desc="drawing", unit="frame", disable=None
    ):
        recent = (mesh_stamps > stamp - _FPS_SPAN) & (mesh_stamps <= stamp)
        span = min(_FPS_SPAN, max(stamp - first, 1))
        fps = recent.sum() * 1e9 / span if stamp - first > 0.3e9 else None
        options = OverlayOptions(fps=fps)
        found = [overlay_face(face) for face in faces.get(stamp, [])]
        drawn = draw_overlay(image, found, topology, options)
        writer.write(drawn)
        count += 1
        if recording.best is not None and stamp == recording.best.stamp:
            still = drawn
    writer.close()
    _verify(path, count)
    return count, still


def write_textured_mesh(recording: Recording, path: Path, model: MorphableModel) -> list[Path]:
    """Write the best face of a recording as textured OBJ, m; return the written files, none without a face."""
    best = recording.best
    image = recording.image(best.stamp) if best is not None else None
    if best is None or image is None:
        return []
    face = SimpleNamespace(
        vertices=best.image_vertices, vertices_metric=best.vertices, params=best.params, model=model
    )
    return write_obj(path, face, mesh_texture(face, image, 1024))


def _verify(path: Path, count: int) -> None:
    """Check that the file decodes to the written number of frames."""
    reader = VideoSource(path, loop=False)
    decoded = reader.skip(count + 1)
    reader.close()
    if decoded != count:
        raise TddfaError(f"{path} decodes to {decoded} frames instead of {count}")
